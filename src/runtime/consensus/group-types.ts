/** What a node's part in its mesh's group is to the rest of the node. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Seat } from '../../protocol/consensus/messages.ts';
import type { ProfileName } from '../../protocol/membership/profiles.ts';
import type { GroupHint } from '../../wire/consensus-calls.ts';
import type { PartWorld } from '../parts.ts';
import type { Replica } from './replica-world.ts';

export type { GroupHint } from '../../wire/consensus-calls.ts';

/** A node's part in the group. */
export interface Group {
  readonly world: PartWorld;
  readonly profile: ProfileName;
  replica(): Replica | undefined;
  isLeader(): boolean;
  /** The best that this node knows about who leads which group. */
  hint(): GroupHint | undefined;
  /** A node asked this leader: from now on it is told when somebody else leads. */
  asked(node: NodeId): void;
  /** Somebody said who leads. A hint about another group of this mesh is refused and reported. */
  learn(hint: GroupHint): void;
  /** The leader that was hinted at does not answer. */
  doubt(leader: NodeId): void;
  /** Seats whose nodes say that they do not hold them. */
  readonly emptySeats: Set<Seat>;
  /** Begins the group, when this is the node that may. @returns whether there is one now */
  begin(): Promise<boolean>;
  /** Takes a fresh seat. @throws {RangeError} when this node belongs to another group of the mesh */
  takeSeat(group: string, seat: Seat): Promise<void>;
  /** The replica here is not to be relied on: its seat is given up. */
  forgot(reason: string): Promise<void>;
  /** Fits the group's patience to what the disk takes. */
  retime(): void;
  onChange(listener: () => void): () => void;
  /** Something in the state machine changed here. An empty list: anything may have. */
  onTouched(listener: (things: readonly string[]) => void): () => void;
  stop(): Promise<void>;
}
