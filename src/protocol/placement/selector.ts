/** One small language to say which nodes or services are meant: `category:camera, location:lab/*, !power:battery`. */

/** Longest selector, in characters. */
export const selectorLengthMax = 512;

/** Terms of one selector. */
export const selectorTermsMax = 16;

/** What a selector is tried on. */
export interface Selectable {
  readonly labels: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
}

/** A selector that was read. */
export interface Selector {
  readonly text: string;
  matches(subject: Selectable): boolean;
}

/** Why a text is no selector. */
export interface SelectorProblem {
  readonly problem: string;
}

interface Term {
  readonly isNot: boolean;
  /** Undefined: a capability. */
  readonly key: string | undefined;
  readonly values: readonly Pattern[];
}

/** The parts between the stars. */
type Pattern = readonly string[];

/**
 * Reads a selector: terms joined by commas must all hold. `key:value` asks for a label, a bare word for a capability;
 * `*` stands for any characters, `a|b` for either, `!` turns a term round. Empty: everything.
 */
export function parseSelector(text: string): Selector | SelectorProblem {
  if (text.length > selectorLengthMax) return { problem: `longer than ${selectorLengthMax}` };
  const parts = text.split(',').map((part) => part.trim());
  const given = parts.filter((part) => part !== '');
  if (given.length !== parts.length && given.length > 0) return { problem: 'a term is empty' };
  if (given.length > selectorTermsMax) return { problem: `more than ${selectorTermsMax} terms` };
  const terms: Term[] = [];
  for (const part of given) {
    const isNot = part.startsWith('!');
    const body = isNot ? part.slice(1).trim() : part;
    const colon = body.indexOf(':');
    const key = colon < 0 ? undefined : body.slice(0, colon).trim();
    const values = (colon < 0 ? body : body.slice(colon + 1)).split('|').map((one) => one.trim());
    if (key === '') return { problem: `'${part}' has no key before the colon` };
    if (values.some((value) => value === '')) return { problem: `'${part}' has no value` };
    terms.push({ isNot, key, values: values.map((value) => value.split('*')) });
  }
  return { text, matches: (subject) => terms.every((term) => holds(term, subject)) };
}

function holds(term: Term, { labels, capabilities }: Selectable): boolean {
  const { key, values } = term;
  const subjects =
    key === undefined ? capabilities : Object.hasOwn(labels, key) ? [labels[key] ?? ''] : [];
  const isThere = subjects.some((one) => values.some((pattern) => matchesPattern(pattern, one)));
  return isThere !== term.isNot;
}

/** Each part is looked for after the one before: no pattern makes this slow. */
function matchesPattern(pattern: Pattern, text: string): boolean {
  const first = pattern[0] ?? '';
  if (pattern.length === 1) return text === first;
  const last = pattern.at(-1) ?? '';
  if (!text.startsWith(first) || text.length < first.length + last.length) return false;
  if (!text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of pattern.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
