/** The memory twin of the log: keeps the last lines, for tests and for a report of what happened. */

import { BoundedQueue } from '../../kernel/bounded-queue.ts';
import type { Log, LogLevel } from '../../ports/log.ts';

/** Lines kept by default; the oldest goes. */
const linesMax = 1000;

/** One line as it was given. */
interface LogLine {
  readonly level: LogLevel;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A log that can be read back. */
export interface MemoryLog extends Log {
  /** Takes the lines out, oldest first. */
  take(): readonly LogLine[];
}

/** Builds a log in memory. */
export function createMemoryLog(limit: number = linesMax): MemoryLog {
  const lines = new BoundedQueue<LogLine>(limit, 'drop-oldest');

  function logger(common: Readonly<Record<string, unknown>>): Log {
    const at = (level: LogLevel): Log[LogLevel] => {
      return (fields, message) => {
        lines.push({ level, fields: { ...common, ...fields }, message });
      };
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => logger({ ...common, ...fields }),
    };
  }

  return {
    ...logger({}),
    take() {
      const taken: LogLine[] = [];
      for (let line = lines.shift(); line !== undefined; line = lines.shift()) taken.push(line);
      return taken;
    },
  };
}
