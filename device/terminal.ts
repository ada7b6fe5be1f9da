/** The screen: data to stdout, narration to stderr, colour only where a person looks at it. */

/** Output waiting for a slow reader of our stdout before lines are dropped, in bytes. */
export const outputBytesMax: number = 1024 * 1024;

/** The styles we use; plain text when colour is off. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Where a command writes. */
export interface Terminal {
  readonly isTty: boolean;
  readonly columns: number;
  /** Lines that were dropped because nobody read our output. */
  readonly droppedCount: number;
  /** Output that its reader has not taken yet, in bytes. */
  readonly backlogBytes: number;
  /** A line of data. */
  line(text: string): void;
  /** Data without a line break, as it comes. */
  text(text: string): void;
  /** A line of narration. */
  note(text: string): void;
  /** Narration that the next one replaces; '' ends it. Nothing where nobody looks. */
  progress(text: string): void;
  style(style: Style, text: string): string;
  /** Calls back once when our output has been taken. */
  whenDrained(drained: () => void): void;
  /** Calls back once when the reader of our output has gone away (`mycel sub … | head -1`). */
  onClosed(closed: () => void): void;
}

/** The process's own streams. `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb` are honoured. */
export function createTerminal(
  out: NodeJS.WriteStream = process.stdout,
  err: NodeJS.WriteStream = process.stderr,
  env: NodeJS.ProcessEnv = process.env,
): Terminal {
  const isTty = out.isTTY;
  const hasColour = wantsColour(isTty, env);
  let droppedCount = 0;
  let isClosed = false;
  const closedListeners: (() => void)[] = [];
  out.on('error', () => {
    if (isClosed) return;
    isClosed = true;
    for (const listener of closedListeners) listener();
  });
  // A closed stderr must not end the node either; there is nowhere left to say so.
  err.on('error', () => undefined);
  return {
    isTty,
    get columns() {
      return out.columns > 0 ? out.columns : 100;
    },
    get droppedCount() {
      return droppedCount;
    },
    get backlogBytes() {
      return out.writableLength;
    },
    line(text) {
      if (isClosed || out.writableLength > outputBytesMax) droppedCount += 1;
      else out.write(`${text}\n`);
    },
    text(text) {
      if (!isClosed && out.writableLength <= outputBytesMax) out.write(text);
    },
    note(text) {
      if (err.writableLength <= outputBytesMax) err.write(`${text}\n`);
    },
    progress(text) {
      if (err.isTTY) err.write(text === '' ? '\r\u001b[K' : `\r\u001b[K${text}`);
    },
    style: (style, text) =>
      hasColour ? `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m` : text,
    whenDrained: (drained) => void out.once('drain', drained),
    onClosed: (closed) => void closedListeners.push(closed),
  };
}

/** Text from elsewhere, made harmless for a terminal: no control, escape or direction-changing characters. */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '·');
}

function wantsColour(isTty: boolean, env: NodeJS.ProcessEnv): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false';
  return isTty && env['TERM'] !== 'dumb';
}
