/** Who talks to whom among the instances of one agent: the same answer on every node that knows the same instances. */

/** Shapes of a society. `adaptive`: everybody with everybody up to eight, a tree of three branches beyond. */
export type SocietyShape = 'mesh' | 'ring' | 'tree' | 'adaptive';

/** Members up to which an adaptive society is a mesh: seven neighbours are cheap, seventy are not. */
export const adaptiveMeshMax = 8;

/**
 * The neighbours of a member. Members that come or go change the shape at once; neighbourhood is mutual, and every society is connected.
 * @param members in any order, each once
 */
export function neighboursOf(
  shape: SocietyShape,
  members: readonly string[],
  self: string,
): readonly string[] {
  const all = [...members].sort(byNumber);
  const at = all.indexOf(self);
  if (at < 0) return [];
  if (shape === 'mesh' || (shape === 'adaptive' && all.length <= adaptiveMeshMax)) {
    return all.filter((_, other) => other !== at);
  }
  if (shape === 'ring') {
    const [before, after] = [(at + all.length - 1) % all.length, (at + 1) % all.length];
    return [...new Set([before, after])].filter((one) => one !== at).map((one) => all[one] ?? '');
  }
  const branches = shape === 'adaptive' ? 3 : 2;
  const parent = at === 0 ? [] : [Math.floor((at - 1) / branches)];
  const children = Array.from({ length: branches }, (_, branch) => at * branches + branch + 1);
  return [...parent, ...children].flatMap((one) => all[one] ?? []);
}

/** `beat#2` before `beat#10`. */
function byNumber(one: string, other: string): number {
  const number = (name: string): number => Number(name.slice(name.lastIndexOf('#') + 1));
  return number(one) - number(other) || (one < other ? -1 : 1);
}
