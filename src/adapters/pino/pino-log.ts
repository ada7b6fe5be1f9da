/** The node's log: one JSON line per event through pino, written at once, redacted, and loaded only when a line is due. */

import type { Logger } from 'pino';
import { BoundedQueue } from '../../kernel/bounded-queue.ts';
import type { Log, LogLevel } from '../../ports/log.ts';
import { createDescriptorSink, createFileSink, type LineSink } from './log-file.ts';
import { redactFields, redactText } from './redact.ts';

/** Lines held while pino loads (some 30 ms, once); the oldest goes. */
const waitingMax = 256;

const severity = { debug: 20, info: 30, warn: 40, error: 50, silent: Infinity } as const;

/** How to log. */
export interface PinoLogOptions {
  /** The quietest level that is written. */
  readonly level: LogLevel | 'silent';
  /** An open descriptor, or the path of a file that is kept below `logFileBytesMax` (and one older one beside it). @default 2 (standard error) */
  readonly destination?: number | string;
  /** @default logFileBytesMax */
  readonly fileBytesMax?: number;
}

/** A log that can be waited for. */
export interface PinoLog extends Log {
  /** Resolves when every line given so far is written. Lines that still wait when the process exits are written then. */
  flush(): Promise<void>;
}

interface Line {
  readonly level: LogLevel;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** Builds the log. Until the first line that is loud enough, it costs nothing. */
export function createPinoLog(options: PinoLogOptions): PinoLog {
  const destination = options.destination ?? 2;
  const waiting = new BoundedQueue<Line & { readonly time: number }>(waitingMax, 'drop-oldest');
  let sink: LineSink | undefined;
  let logger: Logger | undefined;
  let loading: Promise<void> | undefined;

  function openSink(): LineSink {
    sink ??=
      typeof destination === 'number'
        ? createDescriptorSink(destination)
        : createFileSink(destination, options.fileBytesMax);
    return sink;
  }

  async function load(): Promise<void> {
    const { default: pino } = await import('pino');
    logger = pino(
      { level: 'debug', base: null, timestamp: () => `,"time":${Date.now()}` },
      openSink(),
    );
    process.off('exit', writeWaiting);
    writeWaiting();
  }

  /** Lines from before pino was there, in pino's own shape so that readers see no difference. */
  function writeWaiting(): void {
    for (let line = waiting.shift(); line !== undefined; line = waiting.shift()) {
      const { level, time, fields, message } = line;
      const shape = { level: severity[level], time, ...fields, msg: message };
      openSink().write(`${JSON.stringify(shape)}\n`);
    }
  }

  function write(line: Line): void {
    if (logger !== undefined) {
      logger[line.level](line.fields, line.message);
      return;
    }
    waiting.push({ ...line, time: Date.now() });
    if (loading !== undefined) return;
    // A process that ends before pino is loaded still says why.
    process.once('exit', writeWaiting);
    loading = load();
  }

  const log = createLogger({}, severity[options.level], write);
  return { ...log, flush: async () => await loading };
}

/** One logger and its children share the sink; each adds its fields to every line. */
function createLogger(
  common: Readonly<Record<string, unknown>>,
  quietest: number,
  write: (line: Line) => void,
): Log {
  function at(level: LogLevel): Log[LogLevel] {
    if (severity[level] < quietest) return () => {};
    return (fields, message) => {
      write({
        level,
        fields: redactFields({ ...common, ...fields }),
        message: redactText(message),
      });
    };
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => createLogger({ ...common, ...fields }, quietest, write),
  };
}
