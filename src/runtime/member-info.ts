/** Members as people and programs see them. */

import type { SwimMember } from '../protocol/membership/swim-types.ts';
import type { MemberInfo } from './mesh-node.ts';

/** What membership knows of one member. */
export function infoOf(member: SwimMember, isSelf: boolean): MemberInfo {
  const { incarnation, address } = member;
  return {
    id: member.node,
    name: member.meta.name,
    state: member.state,
    address: address === undefined ? undefined : `${address.host}:${address.port}`,
    incarnation: `${incarnation.boot}.${incarnation.n}`,
    rttMs: isSelf ? 0 : member.rttMs,
    labels: member.meta.labels,
    roles: member.meta.roles,
    capabilities: member.meta.capabilities,
    version: member.meta.version,
    isStalled: member.isStalled,
    isSelf,
  };
}
