/** What commands ask of a node about updates: the requests, their checks, and what each does. */

import type {
  AgentHandles,
  InstallReport,
  MemberInfo,
  MeshNode,
  NodeId,
  RolloutOptions,
  RolloutStatus,
} from 'mycel';

import { Failure, toFailure, usageFailure } from './failure.ts';
import { resolveMember } from './member-choice.ts';

/** Largest package that a command hands to its node, in bytes. */
export const uploadBytesMax: number = 32 * 1024 * 1024;

/** A member and the version it runs. */
export interface VersionRow {
  readonly id: string;
  readonly name: string;
  /** Of the program, as the mesh is told. */
  readonly version: string;
  readonly report?: InstallReport;
  /** Why there is no report. */
  readonly problem?: string;
}

/** How to roll out, as a command asks for it. */
export interface UpdateBeginArgs extends Omit<RolloutOptions, 'blob' | 'targets'> {
  /** Ids or names; none: every member that is alive. */
  readonly who?: readonly string[];
  readonly select?: string;
}

/** Their arguments and results. */
export interface UpdateCalls {
  /** A part of the package; at 0 it begins anew. */
  'update-part': {
    args: { readonly at: number; readonly base64: string };
    result: { readonly bytes: number };
  };
  /** Rolls out the package that was handed over. */
  'update-begin': {
    args: UpdateBeginArgs;
    result: {
      readonly status: RolloutStatus;
      readonly skipped: readonly { readonly name: string; readonly reason: string }[];
    };
  };
  'update-status': {
    args: Readonly<Record<string, never>>;
    result: { readonly rollout: RolloutStatus | null; readonly nodes: readonly VersionRow[] };
  };
  'update-cancel': {
    args: Readonly<Record<string, never>>;
    result: { readonly isCancelled: boolean };
  };
}

/** The checks that the control protocol is made of. */
interface CheckKit {
  text(lengthMax: number, lengthMin?: number): Check;
  whole(low: number, high: number): Check;
  optional(check: Check): Check;
  list(item: Check, lengthMax: number): Check;
  readonly base64: Check;
}

type Check = (value: unknown) => string | undefined;

/** The checks of these requests. */
export function updateChecks({
  text,
  whole,
  optional,
  list,
  base64,
}: CheckKit): Readonly<Record<keyof UpdateCalls, Readonly<Record<string, Check>>>> {
  const ms = optional(whole(1, 86_400_000));
  return {
    'update-part': { at: whole(0, uploadBytesMax), base64 },
    'update-begin': {
      who: optional(list(text(64), 1024)),
      select: optional(text(512)),
      canary: optional(whole(1, 1024)),
      batch: optional(whole(1, 1024)),
      healthyForMs: ms,
      trialMs: ms,
      patienceMs: ms,
    },
    'update-status': {},
    'update-cancel': {},
  };
}

/** One of these requests. */
export type UpdateRequest = {
  readonly [Op in keyof UpdateCalls]: { readonly op: Op; readonly args: UpdateCalls[Op]['args'] };
}[keyof UpdateCalls];

const updateOps: ReadonlySet<string> = new Set(
  Object.keys({
    'update-part': true,
    'update-begin': true,
    'update-status': true,
    'update-cancel': true,
  } satisfies Record<keyof UpdateCalls, true>),
);

/** Whether a request is one of these. */
export function isUpdateRequest(request: { readonly op: string }): request is UpdateRequest {
  return updateOps.has(request.op);
}

/** The package that is being handed over to a node; one at a time. */
const uploads = new WeakMap<MeshNode, { readonly parts: Buffer[]; bytes: number }>();

/** Runs one. */
export async function runUpdateCall(node: MeshNode, request: UpdateRequest): Promise<unknown> {
  const { updates } = node as MeshNode & AgentHandles;
  switch (request.op) {
    case 'update-part':
      return { bytes: takePart(node, request.args.at, Buffer.from(request.args.base64, 'base64')) };
    case 'update-begin':
      return begin(node as MeshNode & AgentHandles, request.args);
    case 'update-status':
      return {
        rollout: updates.rollout() ?? null,
        nodes: await Promise.all(aliveMembers(node).map((member) => rowOf(node, member))),
      };
    case 'update-cancel':
      return { isCancelled: updates.cancel() };
  }
}

function takePart(node: MeshNode, at: number, part: Buffer): number {
  if (at === 0) uploads.set(node, { parts: [], bytes: 0 });
  const upload = uploads.get(node);
  if (upload === undefined || upload.bytes !== at || at + part.length > uploadBytesMax) {
    throw usageFailure(
      'The package did not arrive in one piece.',
      `Start the command again; a package has ${uploadBytesMax} bytes at most.`,
    );
  }
  upload.parts.push(part);
  upload.bytes += part.length;
  return upload.bytes;
}

async function begin(
  node: MeshNode & AgentHandles,
  args: UpdateBeginArgs,
): Promise<UpdateCalls['update-begin']['result']> {
  const upload = uploads.get(node);
  uploads.delete(node);
  if (upload === undefined) {
    throw usageFailure('There is no package.', 'Start the command again.');
  }
  const { who, select, ...how } = args;
  const { targets, skipped } = await chooseTargets(node, who, select);
  const { hash } = await node.blobs.put(Buffer.concat(upload.parts));
  const status = await node.updates.rollOut({ blob: hash, targets, ...how });
  return { status, skipped };
}

/** Whoever is named must be able to; of a selection those that are not are left out, and told. */
async function chooseTargets(
  node: MeshNode & AgentHandles,
  who: readonly string[] | undefined,
  select: string | undefined,
): Promise<{
  readonly targets: readonly NodeId[];
  readonly skipped: { readonly name: string; readonly reason: string }[];
}> {
  if (who !== undefined && who.length > 0) {
    return { targets: who.map((one) => resolveMember(node, one).id), skipped: [] };
  }
  // Loaded here: the commands share this file, and must start fast.
  const { parseSelector } = await import('mycel');
  const selector = parseSelector((select ?? '').replaceAll('=', ':'));
  if ('problem' in selector) {
    throw usageFailure(
      `'${select}' is not a selector: ${selector.problem}.`,
      'Write it like --select room=kitchen.',
    );
  }
  const targets: NodeId[] = [];
  const skipped: { name: string; reason: string }[] = [];
  await Promise.all(
    aliveMembers(node)
      .filter((member) => selector.matches(member))
      .map(async (member) => {
        const { problem } = await rowOf(node, member);
        if (problem === undefined) targets.push(member.id);
        else skipped.push({ name: member.name, reason: problem });
      }),
  );
  if (targets.length === 0) {
    const [first] = skipped;
    throw new Failure(
      first === undefined ? 'MYCEL_UNKNOWN_MEMBER' : 'MYCEL_NOT_UPDATABLE',
      first === undefined
        ? 'No member that is alive fits.'
        : `No member can be updated: ${first.name}: ${first.reason}`,
      'See "mycel update status".',
    );
  }
  return { targets: targets.toSorted(), skipped };
}

function aliveMembers(node: MeshNode): MemberInfo[] {
  return node.members().filter(({ state }) => state === 'alive');
}

async function rowOf(node: MeshNode, member: MemberInfo): Promise<VersionRow> {
  const { id, name, version } = member;
  try {
    const report = await (node as MeshNode & AgentHandles).updates.ask(id);
    return { id, name, version, report };
  } catch (error) {
    return { id, name, version, problem: toFailure(error).message };
  }
}
