/** Members as people and programs see them. */

import type { SwimMember } from '../protocol/membership/swim-types.ts';
import type { Emitter } from './events.ts';
import type { MemberInfo, MemberState, MeshEvents } from './mesh-node.ts';

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

/** Tells what changed about a member, and answers whether it came up or went down with that. */
export function tellMember(
  emitter: Emitter<MeshEvents>,
  info: MemberInfo,
  before: MemberState | undefined,
): 'up' | 'down' | undefined {
  emitter.emit('member', info);
  const isDown = info.state === 'dead' || info.state === 'left';
  const wasUp = before !== undefined && before !== 'dead' && before !== 'left';
  if (wasUp && isDown) {
    emitter.emit('member-down', info);
    return 'down';
  }
  if (wasUp || info.state !== 'alive') return undefined;
  emitter.emit('member-up', info);
  return 'up';
}
