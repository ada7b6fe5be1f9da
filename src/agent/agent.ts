/** Agents as programs write them, and what a node offers to deploy them. */

import type { NodeId } from '../kernel/ids.ts';
import type { LlmEvent } from '../ports/language-model.ts';
import type { Peripherals, SerialOptions } from '../ports/peripherals.ts';
import type { BidFacts, TaskJob, TaskOffer } from '../runtime/tasks/task-runner.ts';
import type { Agents } from '../runtime/agents/agents.ts';
import type { LlmAnswer } from '../runtime/llm/answer.ts';
import type { LlmStep } from '../runtime/llm/tool-loop.ts';
import type {
  AgentHealth,
  AgentInfo,
  Deployed,
  DeployOptions,
} from '../runtime/agents/deploy-options.ts';
import type { LlmChatRequest, LlmHandle, LlmOptions, NoTools } from './llm.ts';

/** What an agent knows of itself and may ask of its node. Whatever it asks for is refused once it has lost its fence. */
export interface AgentSelf {
  readonly agent: string;
  /** Its own name: the agent's with a number. */
  readonly instance: string;
  readonly node: string;
  /** Rises with every new holder of this instance: a sink that keeps the highest refuses an old holder. */
  readonly fence: number;
  /** Runs it again and again, `ms` after the last run has ended; returns the function that stops it. */
  every(ms: number, run: () => unknown): () => void;
  after(ms: number, run: () => unknown): () => void;
  publish(
    topic: string,
    payload: string | Uint8Array,
    options?: { readonly qos?: 0 | 1; readonly retain?: boolean },
  ): Promise<void>;
  /** What is published there comes to `handle` as `{ type: 'message', topic, payload }`. */
  subscribe(filter: string): Promise<void>;
  /** Calls an action of a service. */
  call(
    target: string,
    input?: unknown,
    options?: Readonly<Record<string, unknown>>,
  ): Promise<unknown>;
  /** Puts a message into another agent's mailbox: any instance of it, or the one named. Rejects when that is full. */
  send(to: string, body: unknown): Promise<void>;
  /** The instances of this agent that run and are its neighbours in its society, wherever they are. */
  neighbours(): Promise<readonly string[]>;
  /** Puts a message into the mailbox of each neighbour; resolves with how many took it. */
  tellNeighbours(body: unknown): Promise<number>;
  /** Keeps this state on other nodes; the next run begins with it, here or elsewhere. */
  checkpoint(state: unknown): Promise<void>;
  /** When it ends, `{ type: 'down', instance, reason, ref }` comes once. Resolves with `ref`. */
  monitor(instance: string): Promise<number>;
  /** Ends a watch. */
  demonitor(ref: number): Promise<void>;
  /** When it fails, this agent fails too, and the other way round. */
  link(instance: string): Promise<void>;
  /** What is wired to the board it runs on. */
  readonly device: AgentBoard;
  /**
   * Language models, asked through the mesh: the gateway holds the keys, and what is used is booked to this agent. With
   * `tools` the model may call actions of the mesh's services; one that changes something is asked of the `toolPolicy` of
   * the node that the agent runs on. Failures are those of `node.llm`; up to 16 answers at once, given up when the run ends.
   */
  readonly llm: AgentLlmHandle;
  log(text: string): void;
}

/** Language models for an agent. */
export interface AgentLlmHandle {
  chat(request: LlmChatRequest, options?: Omit<LlmOptions, 'agent'>): Promise<LlmAnswer>;
  /** Gives the steps of an answer as they come. Breaking out cancels it. */
  stream(
    request: LlmChatRequest,
    options?: Omit<LlmOptions, 'agent'> & NoTools,
  ): AsyncIterable<LlmEvent>;
  stream(request: LlmChatRequest, options: Omit<LlmOptions, 'agent'>): AsyncIterable<LlmStep>;
  embed(
    texts: readonly string[],
    options: Omit<LlmOptions, 'agent' | 'tools'> & { readonly model: string },
  ): ReturnType<LlmHandle['embed']>;
}

/** The board of an agent. Failures are those of `node.device.io`. */
export interface AgentBoard extends Omit<Peripherals, 'openSerial'> {
  /**
   * Opens a serial line for this run of the agent, four at most: what comes in comes to `handle` as
   * `{ type: 'serial', path, bytes }`, and its end as `{ type: 'serial-end', path, reason }`.
   */
  openSerial(path: string, options?: SerialOptions): Promise<void>;
  writeSerial(path: string, bytes: Uint8Array): Promise<void>;
}

/** What comes to `handle`. */
export type AgentMessage<Mail = unknown> =
  | {
      readonly type: 'message';
      readonly topic: string;
      readonly payload: Uint8Array;
      readonly retain: boolean;
    }
  /** A split healed, and another copy of this agent ended: what it had come to. It may be what this copy began from. */
  | { readonly type: 'merge'; readonly state: unknown }
  | { readonly type: 'mail'; readonly from: string; readonly body: Mail }
  | { readonly type: 'serial'; readonly path: string; readonly bytes: Uint8Array }
  | { readonly type: 'serial-end'; readonly path: string; readonly reason: string | undefined }
  | {
      readonly type: 'down';
      readonly instance: string;
      readonly reason: string;
      readonly ref: number;
    };

/** A task that an agent was awarded. `fence` rises with every award of it: give it to whatever has the effect. */
export interface AgentTask<Input = unknown> extends Omit<TaskJob, 'input'> {
  readonly input: Input;
  /** Aborts when the task is another node's now: stop, and have no effect any more. */
  readonly signal: AbortSignal;
}

/** An agent. */
export interface AgentDefinition<State = unknown, Mail = unknown> {
  /** Small letters, digits and -. */
  readonly name: string;
  /** Capabilities its node must have. */
  readonly needs?: readonly string[];
  /** How far it is kept from the node: an endless loop or a full heap of a `thread` or `process` ends only itself. @default 'thread' */
  readonly isolation?: 'in-process' | 'thread' | 'process';
  /** Heap above which its thread or process is ended, in MiB. @default 64 */
  readonly heapMb?: number;
  /** Begins a run. `saved` is the last checkpoint, or undefined. What it returns is the state that `handle` is given. */
  init?(self: AgentSelf, saved: State | undefined): State | Promise<State> | void | Promise<void>;
  /** Handles one message at a time; timers take turns with it. What it returns is the next state. */
  handle?(
    state: State,
    message: AgentMessage<Mail>,
    self: AgentSelf,
  ): State | Promise<State> | void | Promise<void>;
  /**
   * What it does while the mesh is split. `run-everywhere-and-merge`: each side runs it; when the split heals one copy
   * ends and its state comes to the other as `merge`. `pause-minority`: it runs only where a majority decides, at most once
   * in the mesh; `fence` is the token of its lock. `sticky-home`: on the node where it was deployed, or nowhere.
   * @default 'run-everywhere-and-merge'
   */
  readonly partition?: 'run-everywhere-and-merge' | 'pause-minority' | 'sticky-home';
  /** Kinds of tasks that it takes: it is asked for bids, and `run` does what it is awarded. */
  readonly tasks?: readonly string[];
  /**
   * What a task would cost now, in ms of predicted time or anything comparable; undefined: it will not. Answer within
   * 240 ms (0.6 of the task's `biddingMs`). Without this the node bids for it, from queue, load, heat, battery and round trip.
   */
  bid?(
    task: Omit<AgentTask, 'fence' | 'signal'> & Pick<TaskOffer, 'rule' | 'costMax' | 'held'>,
    facts: BidFacts,
    state: State,
    self: AgentSelf,
  ): number | undefined | Promise<number | undefined>;
  /**
   * Does a task. What it returns (JSON, up to 6 KiB) is the result; what it throws fails this attempt, and another node
   * gets the task. Many may run at once, beside messages and timers.
   */
  run?(task: AgentTask, state: State, self: AgentSelf): unknown;
  /** Ends a run that was asked to end, within two seconds. */
  stop?(state: State, self: AgentSelf): void | Promise<void>;
}

/** Keeps the types of a definition. Export what it returns as `agent`. */
export function defineAgent<State = unknown, Mail = unknown>(
  definition: AgentDefinition<State, Mail>,
): AgentDefinition<State, Mail> {
  return definition;
}

/** What an ecosystem is made of. */
export interface EcosystemPlan {
  /** Module of the coordinator. */
  readonly coordinator: string;
  /** Module of the workers. */
  readonly workers: string;
  /** Workers; `auto`: one on every node that fits. @default 'auto' */
  readonly count?: number | 'auto';
  /** Who is whose neighbour among the workers. @default 'adaptive' */
  readonly society?: DeployOptions['society'];
  /** Where workers may run. */
  readonly select?: string;
  readonly require?: readonly string[];
}

/** A deployed ecosystem. */
export interface Ecosystem {
  readonly name: string;
  /** Coordinator and workers. */
  health(): { readonly isWhole: boolean; readonly agents: readonly AgentHealth[] };
  undeploy(): Promise<void>;
}

/** What agents add to a node. */
export interface AgentsHandle {
  /**
   * Deploys an agent on the mesh: its module (plain JavaScript, importing nothing but `mycel` and `node:`) travels, signed, to wherever it runs.
   * @throws {MycelError} MYCEL_BAD_AGENT, MYCEL_NO_SITE, MYCEL_BAD_OPTION
   */
  deploy(source: string, options?: DeployOptions): Promise<Deployed>;
  /** @throws {MycelError} MYCEL_UNKNOWN_AGENT */
  undeploy(name: string): Promise<void>;
  list(): readonly AgentInfo[];
  /** How each deployed agent fares, all its instances taken together. */
  health(): readonly AgentHealth[];
  /**
   * Deploys an ecosystem: a coordinator called `name`, and workers called `NAME-worker` that are neighbours of one another
   * in the given shape. Workers reach the coordinator by `self.send(name, …)`, it reaches any of them by `NAME-worker`.
   * Undone when one of the two cannot be deployed.
   * @throws as `deploy` does
   */
  ecosystem(name: string, plan: EcosystemPlan): Promise<Ecosystem>;
  drain(node: NodeId, isDraining?: boolean): Promise<{ readonly moved: number }>;
  migrate(instance: string, to: NodeId): Promise<void>;
  send(to: string, body: unknown): Promise<void>;
}

/** Builds the handle. */
export function createAgentsHandle(agents: Agents): AgentsHandle {
  return {
    deploy: agents.deploy,
    undeploy: agents.undeploy,
    list: agents.list,
    health: agents.health,
    async ecosystem(name, plan) {
      const worker = `${name}-worker`;
      const { select, require: needs } = plan;
      await agents.deploy(plan.coordinator, { name });
      try {
        await agents.deploy(plan.workers, {
          name: worker,
          replicas: plan.count ?? 'auto',
          society: plan.society ?? 'adaptive',
          ...(select === undefined ? {} : { select }),
          ...(needs === undefined ? {} : { require: needs }),
        });
      } catch (error) {
        await agents.undeploy(name);
        throw error;
      }
      return {
        name,
        health() {
          const mine = agents.health().filter(({ agent }) => agent === name || agent === worker);
          const isWhole = mine.length === 2 && mine.every((one) => one.isWhole);
          return { isWhole, agents: mine };
        },
        async undeploy() {
          await agents.undeploy(worker);
          await agents.undeploy(name);
        },
      };
    },
    drain: (node, isDraining = true) => agents.drain(node, isDraining),
    migrate: agents.migrate,
    send: (to, body) => agents.send(to, body),
  };
}
