/** One host of the lab: programs in its namespace, its cable, and the MQTT clients every Debian machine has. */

import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  runCommand,
  startCommand,
  type Finished,
  type Program,
  type StartOptions,
} from '../process.ts';
import { batch, lanPrefixLength, type Switch } from './lab-switch.ts';

/** The bundle under test; `MYCEL_BUNDLE` names another one than the last build's. */
const command =
  process.env['MYCEL_BUNDLE'] ?? fileURLToPath(new URL('../../dist/mycel.mjs', import.meta.url));

/** A line of `--json` output. */
export type JsonEvent = Readonly<Record<string, unknown>>;

/** A running `mycel` whose standard output is one JSON value a line. */
export interface MycelProcess extends Program {
  /** Every event so far with the time it came (`performance.now`). */
  events(): readonly { readonly at: number; readonly event: JsonEvent }[];
  /** Resolves with the first event (old or new) that fits, within `ms`. */
  waitForEvent(fits: (event: JsonEvent) => boolean, ms: number): Promise<JsonEvent>;
}

/** What a run of the command line gave. */
interface CliResult extends Finished {
  /** Standard output as JSON: one value, or an array of one value a line; undefined when it is neither. */
  readonly json: unknown;
}

/** One message that mosquitto_sub printed. */
interface ClientMessage {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: number;
}

/** A running mosquitto_sub, already subscribed. */
interface Subscriber {
  messages(): readonly ClientMessage[];
  /** Resolves when there are `count` messages. */
  waitForCount(count: number, ms: number): Promise<readonly ClientMessage[]>;
  stop(): Promise<void>;
  /** Ends it as a crash does: without a word to its broker. */
  kill(): Promise<void>;
}

/** A running tcpdump. */
export interface Capture {
  readonly file: string;
  /** Stops and writes the rest out. */
  stop(): Promise<void>;
}

/** A host of the lab. */
export interface Host {
  readonly at: number;
  readonly space: string;
  readonly dataDir: string;
  /** The address it has now. */
  readonly address: string;
  /** Starts `mycel` with these arguments and the host's data directory. */
  spawn(args: readonly string[], options?: StartOptions): MycelProcess;
  /** Runs `mycel` with these arguments and the host's data directory to its end. */
  cli(...args: readonly string[]): Promise<CliResult>;
  /** Runs any program on the host to its end. */
  exec(
    argv: readonly string[],
    options?: StartOptions & { readonly ms?: number },
  ): Promise<Finished>;
  /** Starts any program on the host. */
  start(argv: readonly string[], options?: StartOptions): Program;
  /** Subscribes with mosquitto_sub; resolves when the broker has acknowledged it. */
  mosquittoSub(args: readonly string[]): Promise<Subscriber>;
  /** Publishes with mosquitto_pub. @throws with its words when it fails. */
  mosquittoPub(args: readonly string[], input?: string): Promise<void>;
  /** Stops every program that was started on this host in its tracks (SIGSTOP) until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** Ends every program that was started on this host at once (SIGKILL), as a power cut does, and waits until they are gone. */
  kill(): Promise<void>;
  /** `interface`: as `ip link set eth0 down`, routes go. `cable`: only the carrier goes. */
  linkDown(how?: 'interface' | 'cable'): void;
  linkUp(how?: 'interface' | 'cable'): void;
  /** Replaces the address, as a new DHCP lease does. */
  setAddress(address: string): void;
  /** Loses this percentage of packets at random, in each direction. 0 ends it. */
  loss(percent: number): void;
  /** Limits the cable in each direction; undefined ends it. */
  rate(kbit: number | undefined): void;
  /** Lets no multicast and no broadcast cross (ARP still does). */
  dropMulticast(isDropped?: boolean): void;
  capture(): Promise<Capture>;
}

/** Gives a host of the switch its handle. */
export function createHost(of: { at: number; network: Switch; dataDir: string }): Host {
  const { at, network, dataDir } = of;
  const space = network.space(at);
  const inside = ['ip', 'netns', 'exec', space];
  const programs = new Set<Program>();
  let address = network.address(at);
  let captures = 0;

  const exec: Host['exec'] = (argv, options) => runCommand([...inside, ...argv], options);
  const start: Host['start'] = (argv, options) => {
    const program = startCommand([...inside, ...argv], options);
    programs.add(program);
    void program.ended.finally(() => programs.delete(program));
    return program;
  };
  const ip = (...lines: string[]): void => batch(['-n', space], lines);
  const mycel = (args: readonly string[]): string[] => [
    process.execPath,
    requireCommand(),
    ...args,
    ...(args.includes('--data-dir') ? [] : ['--data-dir', dataDir]),
  ];

  return {
    at,
    space,
    dataDir,
    get address() {
      return address;
    },
    exec,
    start,
    spawn: (args, options) => asMycel(start(mycel(args), options)),
    async cli(...args) {
      const result = await exec(mycel(args));
      return { ...result, json: readJson(result.stdout) };
    },
    mosquittoSub: (args) => subscribe(start, args),
    async mosquittoPub(args, input) {
      const argv = ['mosquitto_pub', '-h', '127.0.0.1', ...args];
      const { code, stderr } = await exec(argv, { input: input ?? '', ms: 110_000 });
      if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${code} ${stderr}`);
    },
    freeze: () => signal(programs, 'SIGSTOP'),
    thaw: () => signal(programs, 'SIGCONT'),
    async kill() {
      const dying = [...programs];
      signal(dying, 'SIGKILL');
      await Promise.all(dying.map((program) => program.ended));
    },
    linkDown(how = 'interface') {
      if (how === 'cable') network.cable(at, false);
      else ip('link set eth0 down');
    },
    linkUp(how = 'interface') {
      if (how === 'cable') network.cable(at, true);
      else ip('link set eth0 up', 'route replace 224.0.0.0/4 dev eth0');
    },
    setAddress(next) {
      ip(
        'addr flush dev eth0 scope global',
        `addr add ${next}/${lanPrefixLength} brd + dev eth0`,
        'route replace 224.0.0.0/4 dev eth0',
      );
      address = next;
    },
    loss: (percent) => network.faults(at, { loss: percent }),
    rate: (kbit) => network.faults(at, { rate: kbit }),
    dropMulticast: (isDropped = true) => network.faults(at, { isUnicastOnly: isDropped }),
    capture() {
      captures += 1;
      return startCapture(space, 'eth0', `${dataDir}-${captures}.pcap`);
    },
  };
}

/** Starts tcpdump in a namespace and waits until it listens. */
export async function startCapture(space: string, device: string, file: string): Promise<Capture> {
  const argv = ['tcpdump', '-i', device, '-U', '-w', file, '-Z', 'root', '--immediate-mode'];
  const dump = startCommand(['ip', 'netns', 'exec', space, ...argv]);
  for (let waited = 0; !dump.errors().includes('listening on'); waited += 20) {
    if (waited > 10_000) throw new Error(`tcpdump does not listen: ${dump.errors()}`);
    await sleep(20);
  }
  return {
    file,
    async stop() {
      dump.child.kill('SIGINT');
      await dump.ended;
    },
  };
}

function requireCommand(): string {
  if (!existsSync(command)) throw new Error(`${command} is missing. Run: npm run build`);
  return command;
}

function signal(programs: Iterable<Program>, name: NodeJS.Signals): void {
  for (const { child } of programs) child.kill(name);
}

function asMycel(program: Program): MycelProcess {
  const events: { at: number; event: JsonEvent }[] = [];
  let read = 0;
  function catchUp(): typeof events {
    for (const { at, text } of program.output.slice(read)) {
      const value = parse(text);
      if (typeof value === 'object' && value !== null)
        events.push({ at, event: value as JsonEvent });
    }
    read = program.output.length;
    return events;
  }
  return {
    ...program,
    events: catchUp,
    waitForEvent: (fits, ms) =>
      program.until('an event', () => catchUp().find(({ event }) => fits(event))?.event, ms),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readJson(stdout: string): unknown {
  const whole = parse(stdout);
  if (whole !== undefined) return whole;
  const values = stdout.trimEnd().split('\n').map(parse);
  return values.includes(undefined) ? undefined : values;
}

/** Messages are marked, so that no payload is taken for one of mosquitto_sub's own lines. */
const mark = 'message:';

async function subscribe(start: Host['start'], args: readonly string[]): Promise<Subscriber> {
  const own = ['mosquitto_sub', '-h', '127.0.0.1', '-d', '-F', `${mark}%j`];
  const client = start(['stdbuf', '-oL', ...own, ...args]);
  const messages: ClientMessage[] = [];
  let read = 0;
  function catchUp(): ClientMessage[] {
    for (const text of client.lines.slice(read)) {
      if (text.startsWith(mark))
        messages.push(JSON.parse(text.slice(mark.length)) as ClientMessage);
    }
    read = client.lines.length;
    return messages;
  }
  async function end(how: NodeJS.Signals): Promise<void> {
    client.child.kill(how);
    await client.ended;
  }
  await client.line((line) => line.startsWith('Subscribed'), 10_000);
  return {
    messages: catchUp,
    waitForCount: (count, ms) =>
      client.until(
        `${count} messages (there are ${catchUp().length})`,
        () => (catchUp().length >= count ? messages : undefined),
        ms,
      ),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}
