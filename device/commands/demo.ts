/** `mycel demo`: three real nodes on this machine, to look at and to kill. */

import { once } from 'node:events';

import type { Context } from '../context.ts';
import { startDemoMesh, type DemoEvent, type DemoMesh } from '../demo/demo-mesh.ts';
import { drawDemo, listenLine } from '../demo/screen.ts';
import { toFailure } from '../failure.ts';
import type { DemoFlags } from '../program-node.ts';

/** How often the table is drawn anew, in ms. */
const drawEveryMs = 1000;

/** How often the rates are told without a terminal, in ms. */
const ratesEveryMs = 5000;

/** Wipes the screen; what was there stays in the scrollback. */
const clearScreen = '\u001b[2J\u001b[H';

/** Runs until q, a signal, or the given time. */
export async function demo(context: Context, flags: DemoFlags): Promise<void> {
  const { terminal, json } = context;
  const isLive = terminal.isTty && !json;
  const end = new AbortController();
  const askToEnd = (): void => end.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, askToEnd);
  const tell = (event: DemoEvent): void => {
    if (json) terminal.line(JSON.stringify(event));
    else if (!isLive) terminal.line(describe(event));
  };
  let mesh: DemoMesh | undefined;
  const stopKeys = listenForKeys({
    k: () => mesh?.kill(),
    r: () => revive(context, mesh),
    q: askToEnd,
  });
  if (isLive) terminal.line('Starting three nodes …');
  try {
    mesh = await startDemoMesh(tell, end.signal);
    await watch(context, mesh, { seconds: flags.seconds, isLive, end });
    if (isLive) terminal.line('\nStopping the nodes …');
    await mesh.stop();
  } catch (error) {
    // Ctrl-C during the start: the nodes are stopped already.
    if (!end.signal.aborted) throw error;
  } finally {
    stopKeys();
    for (const signal of signals) process.off(signal, askToEnd);
  }
}

/** Shows the mesh until the end is asked for. */
async function watch(
  context: Context,
  mesh: DemoMesh,
  how: {
    readonly seconds: number | undefined;
    readonly isLive: boolean;
    readonly end: AbortController;
  },
): Promise<void> {
  const { end, isLive } = how;
  if (end.signal.aborted) return;
  const [first] = mesh.rows();
  if (isLive) context.terminal.line(clearScreen);
  const timers = [
    isLive
      ? setInterval(createPainter(context, mesh), drawEveryMs)
      : setInterval(createRateTeller(context, mesh), ratesEveryMs),
    ...(how.seconds === undefined ? [] : [setTimeout(() => end.abort(), how.seconds)]),
  ];
  if (!isLive && !context.json) {
    context.terminal.line(`listen in with: ${listenLine(first?.mqttPort ?? 0)}`);
  }
  await once(end.signal, 'abort');
  for (const timer of timers) clearTimeout(timer);
}

function revive({ terminal }: Context, mesh: DemoMesh | undefined): void {
  mesh?.revive().catch((error: unknown) => terminal.note(toFailure(error).message));
}

/** Draws over the last picture; a terminal that is too narrow wraps, so each line is cut by the terminal itself. */
function createPainter({ terminal }: Context, mesh: DemoMesh): () => void {
  const rates = createRates(mesh);
  return () => {
    const lines = drawDemo(terminal, mesh.rows(), rates());
    // Home, no wrapping, each line cleared to its end, then everything below.
    const text = lines.map((line) => `${line}\u001b[K`).join('\n');
    terminal.line(`\u001b[H\u001b[?7l${text}\u001b[?7h\u001b[J`);
  };
}

function createRateTeller({ terminal, json }: Context, mesh: DemoMesh): () => void {
  const rates = createRates(mesh);
  return () => {
    const now = Object.fromEntries(
      [...rates()].map(([name, rate]) => [name, Number(rate.toFixed(1))]),
    );
    if (json) terminal.line(JSON.stringify({ event: 'rates', messagesPerSecond: now }));
    else {
      const said = Object.entries(now).map(([name, rate]) => `${name} ${rate}`);
      terminal.line(`messages a second: ${said.join(', ')}`);
    }
  };
}

/** Looks that a rate is averaged over: publishing and drawing beat at the same pace, and one look would flicker. */
const looksMax = 5;

/** Messages a second of each node, averaged over the last few times it was asked. */
function createRates(mesh: DemoMesh): () => ReadonlyMap<string, number> {
  const look = () => ({
    at: performance.now(),
    counts: new Map(mesh.rows().map(({ name, heardCount }) => [name, heardCount])),
  });
  const looks = [look()];
  return () => {
    const now = look();
    const then = looks[0] ?? now;
    looks.push(now);
    if (looks.length > looksMax) looks.shift();
    const seconds = Math.max(0.001, (now.at - then.at) / 1000);
    return new Map(
      [...now.counts].map(([name, count]) => [
        name,
        (count - (then.counts.get(name) ?? 0)) / seconds,
      ]),
    );
  };
}

/** Single keys on a terminal, or letters on a pipe. Returns what ends it. */
function listenForKeys(actions: Readonly<Record<string, () => void>>): () => void {
  const { stdin } = process;
  const onData = (chunk: Buffer): void => {
    for (const key of chunk.toString('latin1')) {
      // In raw mode Ctrl-C and Ctrl-D arrive as characters.
      const action = actions[key === '\u0003' || key === '\u0004' ? 'q' : key];
      action?.();
    }
  };
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('error', () => undefined);
  stdin.on('data', onData);
  return () => {
    stdin.off('data', onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
    // A file, as /dev/null is, has nothing to let go of.
    if ('unref' in stdin) stdin.unref();
  };
}

function describe(event: DemoEvent): string {
  switch (event.event) {
    case 'ready':
      return `${event.node} is ready, MQTT on port ${event.mqttPort}`;
    case 'joined':
      return `${event.node} has joined by its invite`;
    case 'sees':
      return `${event.node} sees ${event.member} ${event.state}`;
    case 'heard':
      return `${event.node} hears ${event.topic} = ${event.value}`;
    case 'killed':
      return `${event.node} is killed (kill -9 ${event.pid})`;
    case 'ended':
      return `${event.node} has ended (${event.reason})`;
  }
}
