/** Reads the values of flags; a bad one names its flag and shows a good one. */

import { usageFailure } from './failure.ts';

/** A whole number between two bounds. @throws {Failure} MYCEL_USAGE */
export function parseWhole(flag: string, low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= low && value <= high) return value;
    throw usageFailure(
      `'${text.slice(0, 40)}' is not a value for ${flag}.`,
      `Give ${flag} a whole number from ${low} to ${high}.`,
    );
  };
}

/** One of a few words. @throws {Failure} MYCEL_USAGE */
export function parseChoice<Choice extends string>(
  flag: string,
  choices: readonly Choice[],
): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw usageFailure(
      `'${text.slice(0, 40)}' is not a value for ${flag}.`,
      `Give ${flag} one of: ${choices.join(', ')}.`,
    );
  };
}

/** Collects the values of a flag that may be repeated. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Collects `key=value` pairs. @throws {Failure} MYCEL_USAGE */
export function collectLabel(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) {
    throw usageFailure(
      `'${text.slice(0, 40)}' is not a label.`,
      'Write it as --label key=value, for example --label room=kitchen.',
    );
  }
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
