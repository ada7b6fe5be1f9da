/**
 * V-L1: runs the checker of the simulator on logs that Jepsen wrote of etcd, and compares its verdicts with those that
 * are known. The logs are not part of this repository. Run:
 * `node --import ./test/typescript.mjs test/sim/jepsen.ts LOGS VERDICTS`, where LOGS is a directory of `etcd_NNN.log`
 * and VERDICTS a file with lines like `checkJepsen(t, 7, true)`, as in github.com/anishathalye/porcupine.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLinearizable, registerModel } from './linearizability.ts';
import type { HistoryEvent, RegisterOp } from './linearizability.ts';

const [logs = '', verdicts = ''] = process.argv.slice(2);
const known = [
  ...readFileSync(verdicts, 'utf8').matchAll(/checkJepsen\(t, (\d+), (true|false)\)/g),
];
let wrong = 0;
let slowestMs = 0;
let holds = 0;
const from = performance.now();
for (const [, number = '', verdict] of known) {
  const file = join(logs, `etcd_${number.padStart(3, '0')}.log`);
  const began = performance.now();
  const isFine = isLinearizable(historyOf(readFileSync(file, 'utf8')), registerModel);
  slowestMs = Math.max(slowestMs, performance.now() - began);
  if (isFine) holds += 1;
  if (String(isFine) === verdict) continue;
  wrong += 1;
  console.log(`${file}: ${isFine}, known as ${verdict}`);
}
const tookMs = Math.round(performance.now() - from);
console.log(
  `${known.length} logs, ${holds} of them linearizable, ${wrong} other verdicts than known, ${tookMs} ms, the slowest ${Math.round(slowestMs)} ms`,
);
process.exit(known.length > 0 && wrong === 0 ? 0 : 1);

/** A log as events. Of an operation that timed out nobody knows whether, or when, it was done. */
function historyOf(text: string): HistoryEvent<RegisterOp>[] {
  const open = new Map<string, { readonly id: number; readonly call: RegisterOp }>();
  const events: HistoryEvent<RegisterOp>[] = [];
  const late: HistoryEvent<RegisterOp>[] = [];
  let next = 0;
  for (const line of text.split('\n')) {
    const found = /(\d+)\s+:(\w+)\s+:(\w+)\s+(.*)$/.exec(line);
    if (found === null && line.includes(':invoke')) throw new RangeError(line);
    if (found === null) continue;
    const [, who = '', kind = '', what = '', value = ''] = found;
    if (kind === 'invoke') {
      const call = callOf(what, value);
      events.push({ kind: 'call', id: next, value: call });
      open.set(who, { id: next, call });
      next += 1;
      continue;
    }
    const one = open.get(who);
    if (one === undefined) throw new RangeError(line);
    open.delete(who);
    const result = resultOf(one.call, kind, value);
    (result.op === 'unknown' ? late : events).push({ kind: 'return', id: one.id, value: result });
  }
  for (const { id } of open.values()) late.push({ kind: 'return', id, value: { op: 'unknown' } });
  return [...events, ...late];
}

function callOf(what: string, value: string): RegisterOp {
  if (what === 'read') return { op: 'get' };
  if (what === 'write') return { op: 'put', value };
  const [from = '', to = ''] = value.replaceAll(/[[\]]/g, '').split(' ');
  return { op: 'cas', from, to };
}

function resultOf(call: RegisterOp, kind: string, value: string): RegisterOp {
  if (value.includes('timed-out') || kind === 'info') return { op: 'unknown' };
  if (call.op === 'get') return { op: 'value', value: value === 'nil' ? '' : value };
  return { op: kind === 'ok' ? 'ok' : 'conflict' };
}
