/** `mycel doctor`: checks this machine, and says how to mend what it finds. */

import { print, type Context } from '../context.ts';
import type { Finding } from '../doctor/finding.ts';
import { runDoctor } from '../doctor/run-doctor.ts';
import { Failure } from '../failure.ts';
import { harmless, type Style, type Terminal } from '../terminal.ts';

const marks: Readonly<Record<Finding['level'], readonly [string, Style]>> = {
  ok: ['✓', 'green'],
  warn: ['!', 'yellow'],
  fail: ['✗', 'red'],
};

/**
 * Prints every finding.
 * @throws {Failure} MYCEL_DOCTOR when any check fails.
 */
export async function doctor(context: Context, port: number | undefined): Promise<void> {
  const { listInterfaces } = await import('mycel');
  const findings = await runDoctor({ dataDir: context.dataDir, port, listInterfaces, root: '/' });
  print(context, findings, () => describe(context.terminal, findings));
  const failed = findings.filter(({ level }) => level === 'fail').length;
  if (failed > 0) {
    throw new Failure(
      'MYCEL_DOCTOR',
      `${failed} ${failed === 1 ? 'check' : 'checks'} failed.`,
      'Each line marked ✗ names its fix.',
    );
  }
}

function describe(terminal: Terminal, findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length));
  return findings.flatMap(({ check, level, text, fix }) => {
    const [mark, style] = marks[level];
    const line = ` ${terminal.style(style, mark)} ${check.padEnd(width)}  ${harmless(text)}`;
    return fix === undefined ? [line] : [line, `   ${' '.repeat(width)}  fix: ${harmless(fix)}`];
  });
}
