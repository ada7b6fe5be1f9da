/** The commands about this node: run it, look at it, talk through it. */

import { Option, type Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { collect, collectLabel, parseChoice, parseWhole } from './options.ts';

/** Flags of `up`, as parsed. */
export interface UpFlags {
  readonly name?: string;
  readonly port?: number;
  readonly guestPort?: number;
  readonly mesh?: string;
  readonly join?: string;
  readonly seed?: readonly string[];
  readonly interface?: readonly string[];
  readonly label?: Readonly<Record<string, string>>;
  readonly profile?: 'wired' | 'wifi' | 'fast' | 'loopback';
  readonly overlay?: 'full-mesh' | 'hyparview' | 'client-server' | 'pub-sub';
  readonly backbone?: string;
  readonly dev?: boolean;
  readonly metrics?: string;
  readonly homeAssistant?: string | true;
  readonly probe?: string;
  readonly mdns: boolean;
  readonly stopWithStdin?: boolean;
  readonly multicast: boolean;
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/** Flags of `pub`. */
export interface PubFlags {
  readonly qos: 0 | 1;
  readonly retain?: boolean;
  readonly channel?: string;
  readonly urgent?: boolean;
}

/** Flags of `sub`; the timeout in ms. */
export interface SubFlags {
  readonly count?: number;
  readonly timeout?: number;
}

/** Flags of `demo`; the duration in ms. */
export interface DemoFlags {
  readonly seconds?: number;
}

/** Adds them. */
export function addNodeCommands(program: Command, withContext: WithContext): void {
  addUp(program, withContext);
  program
    .command('status')
    .description('what this node does, and what is wrong')
    .action(withContext(async (context) => (await import('./commands/status.ts')).status(context)));
  program
    .command('members')
    .description('the nodes of the mesh, as this one sees them')
    .action(
      withContext(async (context) => (await import('./commands/members.ts')).members(context)),
    );
  const channels = program
    .command('channels')
    .description('the kinds of traffic to other nodes: what waits, what was dropped, and where')
    .action(
      withContext(async (context) => (await import('./commands/channels.ts')).channels(context)),
    );
  channels
    .command('apply')
    .description('give the running node the channels of its configuration file')
    .option('--config <file>', 'instead of config.json in the data directory')
    .action(
      withContext(async (context, flags: { readonly config?: string }) =>
        (await import('./commands/channels.ts')).channelsApply(context, flags.config),
      ),
    );
  program
    .command('discover')
    .description('what every way of finding nodes sees')
    .action(
      withContext(async (context) => (await import('./commands/discover.ts')).discover(context)),
    );
  program
    .command('pub')
    .description('publish a message; the payload comes from stdin when it is left out')
    .argument('<topic>')
    .argument('[payload]')
    .option('--qos <n>', '0: at most once, 1: acknowledged', toQos, 1)
    .option('--retain', "keep it as the topic's last value")
    .option('--channel <name>', 'the channel it takes ("mycel channels" shows them)')
    .option('--urgent', 'at most 4 KiB that must not wait behind others')
    .action(
      withContext(async (context, topic: string, payload: string | undefined, flags: PubFlags) =>
        (await import('./commands/pub.ts')).pub(context, topic, payload, flags),
      ),
    );
  program
    .command('sub')
    .description('print messages as they come')
    .argument('<filter>')
    .option('--count <n>', 'stop after so many messages', parseWhole('--count', 1, 1e12))
    .option('--timeout <s>', 'stop after so many seconds (or 90s, 15m)', (text) =>
      parseDuration('--timeout', text, 's'),
    )
    .action(
      withContext(async (context, filter: string, flags: SubFlags) =>
        (await import('./commands/sub.ts')).sub(context, filter, flags),
      ),
    );
  program
    .command('down')
    .description('stop the node')
    .option('--sleep <duration>', 'tell the mesh that this board sleeps for so long', (text) =>
      parseDuration('--sleep', text, undefined),
    )
    .action(
      withContext(async (context, flags: { readonly sleep?: number }) =>
        (await import('./commands/down.ts')).down(context, flags.sleep),
      ),
    );
  program
    .command('doctor')
    .description('check this machine; every finding comes with its fix')
    .option('--port <port>', 'the port a node would use', parseWhole('--port', 1, 65_535))
    .action(
      withContext(async (context, flags: { readonly port?: number }) =>
        (await import('./commands/doctor.ts')).doctor(context, flags.port),
      ),
    );
  program
    .command('demo')
    .description('three nodes on this machine, with a live table')
    .option('--seconds <n>', 'stop by itself after so many seconds', (text) =>
      parseDuration('--seconds', text, 's'),
    )
    .action(
      withContext(async (context, flags: DemoFlags) =>
        (await import('./commands/demo.ts')).demo(context, flags),
      ),
    );
}

function addUp(program: Command, withContext: WithContext): void {
  addNodeOptions(program.command('up').description('run the node in the foreground'))
    .option('--config <file>', 'more options, as JSON (default: config.json in the data directory)')
    .action(
      withContext(async (context, flags: UpFlags & { readonly config?: string }) =>
        (await import('./commands/up.ts')).up(context, flags, flags.config),
      ),
    );
}

/** The flags of everything that runs a node in the foreground. */
export function addNodeOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--name <name>', 'how people call it (default: the host name)').env('MYCEL_NAME'),
    )
    .option('--port <port>', 'TCP and UDP port (default: 1883, or a free one)', parsePort('--port'))
    .option('--guest-port <port>', 'port for guests on the LAN', parsePort('--guest-port'))
    .option('--mesh <name>', 'name of the mesh this node would found')
    .option('--join <invite>', 'join with this invite, or with the one in @file')
    .option('--seed <host:port>', 'a node to try besides discovery (repeatable)', collect)
    .option('--interface <if>', 'use this network interface only (repeatable)', collect)
    .option('--label <k=v>', 'a label others see (repeatable)', collectLabel)
    .option(
      '--profile <profile>',
      'timing: wired, wifi, fast or loopback',
      parseChoice('--profile', ['wired', 'wifi', 'fast', 'loopback']),
    )
    .option(
      '--overlay <overlay>',
      'whom to link with: full-mesh (default), hyparview, client-server or pub-sub',
      parseChoice('--overlay', ['full-mesh', 'hyparview', 'client-server', 'pub-sub']),
    )
    .addOption(
      new Option(
        '--backbone <url>',
        'an MQTT broker that carries links between sites: mqtt://user:password@host:port, or @file',
      ).env('MYCEL_BACKBONE'),
    )
    .option('--dev', "open mesh for a developer's machine: everyone is let in, loopback only")
    .option('--probe <command>', 'a shell command that fails when a new version is no good here')
    .option('--metrics <host:port>', 'a page for Prometheus at /metrics, like 0.0.0.0:9464')
    .option(
      '--home-assistant [prefix]',
      'show this board to Home Assistant (prefix: homeassistant)',
    )
    .option('--no-mdns', 'do not use mDNS')
    .option('--stop-with-stdin', 'stop when stdin ends, for programs that run a node')
    .option('--no-multicast', 'do not use UDP multicast and broadcast')
    .option(
      '--log-level <level>',
      'debug, info, warn, error or silent (default: warn)',
      parseChoice('--log-level', ['debug', 'info', 'warn', 'error', 'silent']),
    );
}

const parsePort = (flag: string): ((text: string) => number) => parseWhole(flag, 0, 65_535);

function toQos(text: string): 0 | 1 {
  return parseChoice('--qos', ['0', '1'])(text) === '0' ? 0 : 1;
}
