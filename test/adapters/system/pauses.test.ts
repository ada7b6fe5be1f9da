import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startSuspendWatch, type PauseKind } from '../../../src/adapters/system/suspend.ts';
import { bundleProgram, startProgram, type Bundle, type Program } from '../child.ts';

/** The milliseconds in a line `<what> <ms>`. */
function ms(line: string): number {
  return Number(line.split(' ')[1]);
}

describe('a process that pauses', () => {
  let bundle: Bundle;
  let program: Program;

  beforeEach(async () => {
    bundle = await bundleProgram(new URL('pauses.ts', import.meta.url).pathname);
    program = startProgram(bundle.file, []);
    await program.line((line) => line.startsWith('ready'), 10_000);
  });
  afterEach(async () => {
    program.child.kill('SIGKILL');
    await program.ended;
    await bundle.dispose();
  });

  test('in computation sees a lag as long as it was stuck, and does not take it for a freeze', async () => {
    program.child.stdin?.write('3500\n');
    const spike = ms(await program.line((line) => line.startsWith('spike'), 10_000));
    expect(spike).toBeGreaterThan(3300);
    expect(spike).toBeLessThan(5000);
    const lag = ms(await program.line((line) => line.startsWith('lag'), 10_000));
    expect(lag).toBeGreaterThan(3300);
    expect(program.lines.filter((line) => line.startsWith('frozen'))).toEqual([]);
  });

  test('because it was stopped knows for how long, before any alarm that fell due meanwhile', async () => {
    const stopped = performance.now();
    program.child.kill('SIGSTOP');
    // Nothing happens that could be waited for: only time has to pass.
    await vi.waitFor(() => expect(performance.now()).toBeGreaterThan(stopped + 4000), {
      timeout: 10_000,
      interval: 100,
    });
    program.child.kill('SIGCONT');
    const frozen = ms(await program.line((line) => line.startsWith('frozen'), 10_000));
    expect(frozen).toBeGreaterThan(2500);
    expect(frozen).toBeLessThan(8000);
    await program.line((line) => line.startsWith('alarm'), 10_000);
    const order = program.lines.map((line) => line.split(' ')[0]);
    expect(order.indexOf('frozen')).toBeLessThan(order.indexOf('alarm'));
  });
});

describe('the suspend watch', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** One second of the process's life after `asleep` ms of suspend, of which `used` ms on the processor. */
  function watch(): { pauses: [PauseKind, number][]; second(asleep: number, late?: number): void } {
    const pauses: [PauseKind, number][] = [];
    const at = { up: 0, mono: 0, used: 0 };
    startSuspendWatch((gap, kind) => pauses.push([kind, gap]), {
      uptimeMs: () => at.up,
      monotonicMs: () => at.mono,
      processorMs: () => at.used,
    });
    return {
      pauses,
      second(asleep, late = 0) {
        at.mono += 1000 + late;
        at.up += 1000 + late + asleep;
        vi.advanceTimersByTime(1000);
      },
    };
  }

  test('tells a suspend, which no timer notices, by the clock that counts through it', () => {
    const { pauses, second } = watch();
    for (const asleep of [0, 10, 1990, 7_200_000, 0]) second(asleep);
    expect(pauses).toEqual([['suspended', 7_200_000]]);
  });

  test('reports one pause once and keeps quiet about short ones', () => {
    const { pauses, second } = watch();
    second(0, 1900);
    second(0, 5000);
    second(0);
    expect(pauses).toEqual([['frozen', 5000]]);
  });
});
