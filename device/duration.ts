/** Durations as people write them: `90s`, `15m`, `2h`. */

import { usageFailure } from './failure.ts';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Longest duration a command takes: 30 days, in ms. Timers in Node overflow at 24.8 days; nothing here arms one that long. */
export const durationMaxMs: number = 30 * 86_400_000;

/**
 * Reads one or more number-unit pairs (`1h30m`), or a bare number in `bareUnit`s. Gives milliseconds, at least 1.
 * @throws {Failure} MYCEL_USAGE naming the flag.
 */
export function parseDuration(flag: string, text: string, bareUnit: 's' | undefined): number {
  const fix = `Write ${flag} like 90s, 15m or 2h.`;
  const bare = bareUnit !== undefined && /^\d{1,12}(\.\d{1,3})?$/.test(text);
  const whole = bare ? `${text}${bareUnit}` : text;
  if (!/^(\d{1,12}(\.\d{1,3})?(ms|s|m|h|d))+$/.test(whole)) {
    const hint = /^\d+$/.test(text) ? ' It has no unit.' : '';
    throw usageFailure(`'${text.slice(0, 40)}' is not a duration for ${flag}.${hint}`, fix);
  }
  let total = 0;
  for (const [, number, , unit] of whole.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(number) * (unitMs[unit ?? ''] ?? 0);
  }
  const rounded = Math.round(total);
  if (rounded < 1) throw usageFailure(`${flag} must be longer than nothing.`, fix);
  if (rounded > durationMaxMs) throw usageFailure(`${flag} must be 30 days at most.`, fix);
  return rounded;
}

/** Says a duration in at most two units: `1h 30m`, `45s`, `120ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = Math.round(ms / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}
