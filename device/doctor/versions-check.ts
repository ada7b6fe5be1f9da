/** Which versions of mycel the mesh runs, and what the links to older ones cannot carry. */

import type { MemberInfo, NodeStatus } from 'mycel';

import { ok, warn, type Finding } from './finding.ts';

/** Versions told in one line. */
const versionsMax = 4;

/** Compares what the members tell. One version is as it should be; several are, while an update is under way. */
export function checkVersions(
  {
    version,
    links,
  }: Pick<NodeStatus, 'version'> & {
    readonly links: readonly Pick<NodeStatus['links'][number], 'name' | 'protocol'>[];
  },
  members: readonly Pick<MemberInfo, 'name' | 'state' | 'version'>[],
): Finding {
  const check = 'versions';
  const byVersion = new Map<string, string[]>();
  for (const { name, state, version: theirs } of members) {
    if (state !== 'alive') continue;
    byVersion.set(theirs, [...(byVersion.get(theirs) ?? []), name]);
  }
  if (byVersion.size <= 1) return ok(check, `mycel ${version} everywhere`);
  const told = [...byVersion]
    .toSorted(([, one], [, other]) => other.length - one.length)
    .slice(0, versionsMax)
    .map(
      ([each, names]) => `${each} on ${names.length === 1 ? names[0] : `${names.length} boards`}`,
    );
  const minors = links.map(({ protocol }) => Number(protocol.split('.')[1] ?? 0));
  const lower = links.filter((_, at) => minors[at] !== Math.max(...minors)).map(({ name }) => name);
  const limit =
    lower.length === 0
      ? ''
      : ` With ${lower.slice(0, versionsMax).join(', ')} less is possible: the lower version of a link counts.`;
  return warn(
    check,
    `The mesh runs several versions: ${told.join(', ')}.${limit}`,
    'Bring all boards to one: "mycel update status" shows them, "mycel update --to" changes them.',
  );
}
