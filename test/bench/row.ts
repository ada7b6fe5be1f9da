/** What the bench measures, one row at a time, and how it is shown. */

/** One measured figure beside what it is compared with, both from the same run. */
export interface Row {
  readonly name: string;
  /** Size of one message in bytes; 0 where there are no messages. */
  readonly bytes: number;
  readonly value: number;
  readonly unit: string;
  readonly baseline: { readonly name: string; readonly value: number };
  /** value / baseline.value */
  readonly ratio: number;
}

/** Builds a row. */
export function row(
  name: string,
  bytes: number,
  value: number,
  unit: string,
  baseline: Row['baseline'],
): Row {
  return { name, bytes, value, unit, baseline, ratio: value / baseline.value };
}

/** The middle value; the lower one of two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

/** The value below which this share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The rows as a table for people. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((one) => [
    one.name,
    one.bytes === 0 ? '' : `${one.bytes} B`,
    `${figure(one.value)} ${one.unit}`,
    `${figure(one.baseline.value)} ${one.unit}`,
    one.baseline.name,
    `${one.ratio.toFixed(2)}x`,
  ]);
  const all = [['what', 'size', 'value', 'baseline', '', 'ratio'], ...cells];
  const widths =
    all[0]?.map((_, at) => Math.max(...all.map((line) => line[at]?.length ?? 0))) ?? [];
  return all
    .map((line) =>
      line
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function figure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toFixed(1);
}
