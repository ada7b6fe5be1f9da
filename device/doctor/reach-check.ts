/** Do the boards of this mesh reach each other? What one board cannot see alone, its list of members shows. */

import type { DiscoveryReport, MemberInfo, NodeStatus } from 'mycel';

import { ok, warn, type Finding } from './finding.ts';

/** Members named in one line. */
const namesMax = 5;

/** A node that has run for so long has heard every board that can be heard, in ms. */
const settledMs = 180_000;

/** Compares who is a member with who is linked: members without a link hint at isolation between Wi-Fi clients. */
export function checkReach(
  status: Pick<NodeStatus, 'links' | 'overlay' | 'uptimeMs'>,
  members: readonly Pick<MemberInfo, 'id' | 'name' | 'state' | 'isSelf'>[],
  discovery: Pick<DiscoveryReport, 'rungs'>,
): Finding[] {
  const others = members.filter(({ isSelf }) => !isSelf);
  if (others.length === 0) return [];
  const gone = others.filter(({ state }) => state === 'dead' || state === 'suspect');
  const linked = new Set(status.links.map(({ peer }) => peer));
  const apart =
    status.overlay.activeMax === undefined
      ? others.filter(({ id, state }) => state === 'alive' && !linked.has(id))
      : [];
  return [
    gone.length === 0
      ? ok('members', `${others.length} others, all of them answer`)
      : warn(
          'members',
          `${namesOf(gone)} ${gone.length === 1 ? 'does' : 'do'} not answer.`,
          'Look whether they have power and network; "mycel doctor" there says more.',
        ),
    ...(apart.length === 0
      ? []
      : [
          warn(
            'reach',
            `No direct link to ${namesOf(apart)}, though alive: messages take a detour.`,
            'Switch off "client isolation" (also "AP isolation", guest Wi-Fi) on the access point, or open their TCP and UDP port in the firewall.',
          ),
        ]),
    ...(linked.size > 0 && status.uptimeMs >= settledMs && isDeaf(discovery)
      ? [
          warn(
            'multicast from others',
            'Other boards are linked, but nothing they multicast is heard here.',
            'Let the switch or access point pass multicast: switch off "IGMP snooping" or give the LAN a querier, and switch off "multicast filtering" on Wi-Fi. Known boards stay linked.',
          ),
        ]
      : []),
  ];
}

/** Whether both rungs that listen to multicast work and have heard nobody. */
function isDeaf({ rungs }: Pick<DiscoveryReport, 'rungs'>): boolean {
  const listening = rungs.filter(
    ({ rung, trouble }) => (rung === 'mdns' || rung === 'multicast') && trouble === undefined,
  );
  return listening.length > 0 && listening.every(({ records }) => records.length === 0);
}

function namesOf(members: readonly { readonly name: string }[]): string {
  const names = members.slice(0, namesMax).map(({ name }) => name);
  return `${names.join(', ')}${members.length > namesMax ? ', …' : ''}`;
}
