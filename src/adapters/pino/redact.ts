/** Keeps secrets and bulk out of log lines, whatever a caller passes as fields. */

/** Words that make a field a secret, wherever they stand in its name (`joinToken`, `epoch-key`, `PSK`). */
const secretWords = new Set([
  'invite',
  'invites',
  'secret',
  'secrets',
  'password',
  'passwords',
  'passphrase',
  'key',
  'keys',
  'seed',
  'psk',
  'token',
  'tokens',
]);

/** An invite in any text: `mycel:1:…`. */
const inviteText = /mycel:\d+:[^\s"',)]+/g;

/** Nesting, entries and characters beyond which a value is cut. */
const depthMax = 5;
const entriesMax = 64;
const charactersMax = 2000;

const hidden = '[redacted]';

/** Fields as they may be written down: plain data, no secrets, no bytes, bounded. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactEntries(Object.entries(fields), 0);
}

/** A text without invites, bounded. */
export function redactText(text: string): string {
  const clean = text.replace(inviteText, `mycel:${hidden}`);
  return clean.length > charactersMax ? `${clean.slice(0, charactersMax)}…` : clean;
}

function redactEntries(
  entries: readonly (readonly [string, unknown])[],
  depth: number,
): Record<string, unknown> {
  const plain = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of entries.slice(0, entriesMax)) {
    plain[name] =
      isSecretName(name) && value !== undefined ? hidden : redactValue(value, depth + 1);
  }
  if (entries.length > entriesMax) plain['…'] = `${entries.length - entriesMax} more`;
  return plain;
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return `${value}`;
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return `[${value.byteLength} bytes]`;
  if (depth > depthMax) return '[deeper]';
  if (value instanceof Error) return redactError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'never' : value.toISOString();
  if (Array.isArray(value)) {
    const kept = value.slice(0, entriesMax).map((item) => redactValue(item, depth + 1));
    return value.length > entriesMax ? [...kept, `… ${value.length - entriesMax} more`] : kept;
  }
  if (value instanceof Set) return redactValue([...value], depth);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return redactEntries(
    entries.map(([name, item]) => [String(name), item] as const),
    depth,
  );
}

/** What helps to find the reason; a `details` or `cause` is looked through like any field. */
function redactError(error: Error, depth: number): Record<string, unknown> {
  const own = Object.entries(error).filter(([name]) => name !== 'name' && name !== 'fix');
  const shown: [string, unknown][] = [['type', error.name], ['message', error.message], ...own];
  if (error.stack !== undefined) shown.push(['stack', error.stack]);
  if (error.cause !== undefined) shown.push(['cause', error.cause]);
  return redactEntries(shown, depth);
}

function isSecretName(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.some((word) => secretWords.has(word));
}
