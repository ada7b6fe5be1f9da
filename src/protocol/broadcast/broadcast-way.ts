/** How a message is spread: one mechanism, and this choice of who gets it whole at once and who is only told of it. */

/**
 * `simple`: whole to every neighbour. `tree`: whole along the origin's tree, announced to the others. `staged`: announced
 * to all, whole to whoever asks. `gossip`: whole to a few at random, announced to the others.
 */
export type BroadcastWay = 'simple' | 'staged' | 'gossip' | 'tree';

/** What the choice depends on. */
export interface BroadcastLoad {
  /** Members of the mesh, this node included. */
  readonly members: number;
  readonly neighbours: number;
  readonly bytes: number;
  /** Messages a second that this node sees, and their size on average. */
  readonly perSecond: number;
  readonly meanBytes: number;
  /** Whether it must be there as soon as can be. */
  readonly isUrgent: boolean;
  /** What was chosen for the traffic so far: it takes more to change than to stay. */
  readonly was: BroadcastWay;
}

/** Neighbours that get a gossiped message whole. */
export const fanout = 3;

/** Up to so many members a flood costs less than what a tree needs to be kept (protocols reference, section 10). */
const floodMembersMax = 16;

/** A tree begins above one of these and ends below the last (protocols reference, 8.3). */
const treePerSecond = 2;
const treeMeanBytes = 2_048;
const floodPerSecond = 0.5;

/** From this size on a second copy costs more than a question (gossipsub 1.2 asks from 16 KiB on). */
const stagedBytesMin = 16_384;

/** A gossiped message is so small that a lost copy is cheaper than a tree. */
const gossipBytesMax = 1_024;

/** Whether a mesh floods whatever its traffic: a small one, and a node that is linked with every member has nobody to relay to. */
export function alwaysFloods(members: number, neighbours: number): boolean {
  return members <= floodMembersMax || neighbours >= members - 1;
}

/** Chooses. */
export function chooseWay(load: BroadcastLoad): BroadcastWay {
  const { members, neighbours, bytes, perSecond, meanBytes, was } = load;
  if (alwaysFloods(members, neighbours)) return 'simple';
  if (bytes >= stagedBytesMin) return 'staged';
  const isBusy =
    perSecond > treePerSecond || (perSecond >= floodPerSecond && meanBytes > treeMeanBytes);
  if (isBusy || (was === 'tree' && perSecond >= floodPerSecond)) return 'tree';
  return load.isUrgent || bytes > gossipBytesMax ? 'simple' : 'gossip';
}
