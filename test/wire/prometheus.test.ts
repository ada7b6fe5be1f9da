import { expect, test } from 'vitest';
import { formatPrometheus, metricName } from '../../src/wire/prometheus.ts';

test('samples of one name stand together under one head', () => {
  const gauge = (name: string, value: number | undefined, peer: string) =>
    ({ name, help: 'H', type: 'gauge', value, labels: { peer } }) as const;
  expect(
    formatPrometheus([
      gauge('rtt', 0.5, 'a'),
      { name: 'frames.in_total', help: 'C', type: 'counter', value: 3 },
      gauge('rtt', 1, 'b'),
      gauge('rtt', undefined, 'c'),
      gauge('rtt', Number.NaN, 'd'),
    ]),
  ).toBe(
    '# HELP mycel_rtt H\n# TYPE mycel_rtt gauge\nmycel_rtt{peer="a"} 0.5\nmycel_rtt{peer="b"} 1\n' +
      '# HELP mycel_frames_in_total C\n# TYPE mycel_frames_in_total counter\nmycel_frames_in_total 3\n',
  );
});

test('names and labels hold nothing that would break the page', () => {
  expect(metricName('loop.lag_ms')).toBe('mycel_loop_lag_ms');
  const text = formatPrometheus([
    { name: 'x', help: 'a\nb', type: 'gauge', value: 1, labels: { name: 'a"b\\c\nd' } },
  ]);
  expect(text).toBe(
    '# HELP mycel_x a\\nb\n# TYPE mycel_x gauge\nmycel_x{name="a\\"b\\\\c\\nd"} 1\n',
  );
});
