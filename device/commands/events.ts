/** `mycel events`: tells what happened, and asks all nodes. */

import type { MeshEvent } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { usageFailure } from '../failure.ts';
import type { QueryFlags } from '../program-state.ts';
import { streamOut } from '../stream-out.ts';
import { harmless } from '../terminal.ts';

/** Emits an event. */
export async function eventsEmit(
  context: Context,
  type: string,
  json: string | undefined,
  correlation: string | undefined,
): Promise<void> {
  if (json !== undefined && !isJson(json)) {
    throw usageFailure(`${json.slice(0, 60)} is not JSON.`, 'Text stands in quotes.');
  }
  const event = await callNode(context.dataDir, 'events-emit', {
    type,
    ...(json === undefined ? {} : { json }),
    ...(correlation === undefined ? {} : { correlation }),
  });
  print(context, event, () => [event.id]);
}

/** Prints events in the order of cause and effect; names the members that did not answer. */
export async function eventsQuery(context: Context, flags: QueryFlags): Promise<void> {
  const { type, since, correlation, limit, local } = flags;
  const answer = await callNode(context.dataDir, 'events-query', {
    ...(type === undefined ? {} : { type }),
    ...(since === undefined ? {} : { sinceMs: Date.now() - since }),
    ...(correlation === undefined ? {} : { correlation }),
    ...(limit === undefined ? {} : { limit }),
    ...(local === undefined ? {} : { isLocal: local }),
  });
  print(context, answer, () => answer.events.map(line));
  if (answer.missing.length > 0 && !context.json) {
    context.terminal.note(`No answer from ${answer.missing.join(', ')}: their events are missing.`);
  }
}

/** Prints events as they come, until a signal. */
export async function eventsTail(context: Context, type: string): Promise<void> {
  await streamOut(context, 'events-tail', { type }, (event) => {
    print(context, event, () => [line(event)]);
  });
}

function line({ at, type, node, data }: MeshEvent): string {
  const more = data === null ? '' : ` ${harmless(JSON.stringify(data))}`;
  return `${new Date(at.wallMs).toISOString()} ${node.slice(0, 12)} ${harmless(type)}${more}`;
}

function isJson(json: string): boolean {
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}
