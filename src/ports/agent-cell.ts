/** Where an agent's code runs: in this process, in a thread, or in a process of its own; all speak the same few words. */

/** How far an agent is kept from the node and from other agents. */
export type Isolation = 'in-process' | 'thread' | 'process';

/**
 * What an agent does while the mesh is split. `run-everywhere-and-merge`: each side runs it, and the copy that ends when
 * the split heals gives its state to the other. `pause-minority`: it runs only where a majority decides, once in the mesh.
 * `sticky-home`: it runs on its own node or nowhere.
 */
export type PartitionPolicy = 'run-everywhere-and-merge' | 'pause-minority' | 'sticky-home';

/** What a cell is told. */
export type ToCell =
  | {
      readonly t: 'start';
      /** What the last run left, or undefined. */
      readonly saved: unknown;
      readonly info: CellInfo;
    }
  | { readonly t: 'deliver'; readonly id: number; readonly message: unknown }
  | { readonly t: 'reply'; readonly id: number; readonly isOk: boolean; readonly value: unknown }
  | { readonly t: 'ping'; readonly id: number }
  /** What would this task cost you? Answered by `answer` with the same id, as `work` is. */
  | { readonly t: 'bid'; readonly id: number; readonly task: unknown; readonly facts: unknown }
  | { readonly t: 'work'; readonly id: number; readonly task: unknown }
  /** The task of this `work` is this agent's no more. */
  | { readonly t: 'halt'; readonly id: number }
  | { readonly t: 'stop' };

/** What a cell says. */
export type FromCell =
  | { readonly t: 'ready' }
  | {
      readonly t: 'ask';
      readonly id: number;
      readonly op: string;
      readonly args: readonly unknown[];
    }
  | { readonly t: 'handled'; readonly id: number }
  | { readonly t: 'pong'; readonly id: number }
  | { readonly t: 'answer'; readonly id: number; readonly isOk: boolean; readonly value: unknown }
  | { readonly t: 'stopped' }
  /** The agent's own code failed; the cell is over. */
  | { readonly t: 'failed'; readonly reason: string };

/** What an agent may know of itself. */
export interface CellInfo {
  readonly agent: string;
  readonly instance: string;
  readonly node: string;
  readonly fence: number;
}

/** What a cell runs and within what bounds. */
export interface CellOptions {
  /** The agent's module: one ES module that imports nothing but `node:` modules. */
  readonly code: string;
  /** Heap above which a thread or process is ended, in MiB. */
  readonly heapMb: number;
  said(word: FromCell): void;
  /** The cell is gone: it was ended, or its thread or process died. Called once. */
  ended(reason: string | undefined): void;
}

/** A running cell. */
export interface Cell {
  tell(word: ToCell): void;
  /** Ends it at once, whatever it does; in this process it is only left alone. */
  kill(): void;
}

/** What a module says of its agent before it runs. */
export interface AgentFacts {
  readonly name: string;
  readonly needs: readonly string[];
  /** Kinds of tasks that it takes. */
  readonly tasks: readonly string[];
  /** Whether it says itself what a task would cost. */
  readonly bids: boolean;
  readonly partition: PartitionPolicy;
  readonly isolation: Isolation;
  readonly heapMb: number;
}

/** Opens cells. */
export interface Cells {
  /** Loads a module in a thread of its own and reads what it exports. @throws {MycelError} MYCEL_BAD_AGENT */
  inspect(code: string): Promise<AgentFacts>;
  open(isolation: Isolation, options: CellOptions): Cell;
}
