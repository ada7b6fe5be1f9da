/** Numbers of a node as text for Prometheus (text exposition format 0.0.4). */

/** One sample. */
export interface Sample {
  /** Without the prefix; letters, digits and underscores. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels?: Readonly<Record<string, string>>;
  /** What is not a number is left out. */
  readonly value: number | undefined;
}

/** Content type of the format. */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8';

const prefix = 'mycel_';

/** Writes samples; those of one name stand together under one head, as the format demands. */
export function formatPrometheus(samples: readonly Sample[]): string {
  const families = new Map<string, Sample[]>();
  for (const sample of samples) {
    if (sample.value === undefined || !Number.isFinite(sample.value)) continue;
    const name = metricName(sample.name);
    const family = families.get(name);
    if (family === undefined) families.set(name, [sample]);
    else family.push(sample);
  }
  const lines: string[] = [];
  for (const [name, family] of families) {
    const [first] = family;
    lines.push(`# HELP ${name} ${escapeHelp(first?.help ?? '')}`);
    lines.push(`# TYPE ${name} ${first?.type ?? 'gauge'}`);
    for (const { labels = {}, value } of family) lines.push(`${name}${labelsOf(labels)} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A dotted name of the node's own metrics as Prometheus allows it. */
export function metricName(dotted: string): string {
  return prefix + dotted.replaceAll(/[^A-Za-z0-9_]/g, '_').toLowerCase();
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
