import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { createMemoryClock } from '../../../src/adapters/memory/clock.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';

type Alarm = (ms: number, ring: () => void) => () => void;

const plain: Alarm = (ms, ring) => {
  const timer = setTimeout(ring, ms);
  return () => clearTimeout(timer);
};
const clock = createSystemClock();
const deferred: Alarm = (ms, ring) => clock.alarm(clock.now() + ms, ring);

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** Probes an echo that answers in 10 ms, with a timeout of 30 ms, while the loop is blocked for 60 ms. */
async function countFalseTimeouts(alarm: Alarm, rounds: number): Promise<number> {
  const echo = createSocket('udp4');
  const prober = createSocket('udp4');
  await Promise.all([listen(echo), listen(prober)]);
  echo.on('message', (bytes, from) => plain(10, () => echo.send(bytes, from.port, from.address)));
  let falseTimeouts = 0;
  for (let round = 0; round < rounds; round += 1) {
    await new Promise<void>((resolve) => {
      let isOver = false;
      const cancel = alarm(30, () => {
        if (isOver) return;
        isOver = true;
        falseTimeouts += 1;
        resolve();
      });
      prober.removeAllListeners('message');
      prober.on('message', (bytes) => {
        if (isOver || bytes[0] !== round) return;
        isOver = true;
        cancel();
        resolve();
      });
      prober.send(Buffer.of(round), echo.address().port, '127.0.0.1');
      // The answer is sent after 12 ms by the same loop; then the loop is stuck past the timeout, inside an immediate.
      plain(12, () => setImmediate(() => block(60)));
    });
  }
  echo.close();
  prober.close();
  return falseTimeouts;
}

async function listen(socket: Socket): Promise<void> {
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
}

describe('an alarm of the system clock', () => {
  test('never blames a peer for a pause of our own: 0 of 40, where a plain timer errs nearly always', async () => {
    expect(await countFalseTimeouts(deferred, 40)).toBe(0);
    expect(await countFalseTimeouts(plain, 40)).toBeGreaterThanOrEqual(36);
  });

  test('rings at or after its time, once', async () => {
    const rung: number[] = [];
    const start = clock.now();
    await new Promise<void>((resolve) => {
      clock.alarm(start + 20, () => rung.push(clock.now()));
      clock.alarm(start + 60, resolve);
    });
    expect(rung).toHaveLength(1);
    expect(rung[0]).toBeGreaterThanOrEqual(start + 20);
  });

  test('in the past rings soon, but never inside the call that sets it', async () => {
    let isSet = false;
    await new Promise<void>((resolve) => {
      clock.alarm(clock.now() - 1000, () => {
        expect(isSet).toBe(true);
        resolve();
      });
      isSet = true;
    });
  });

  test('does not ring once cancelled, not even between its timer and its verdict', async () => {
    let rung = 0;
    const cancel = clock.alarm(clock.now() + 5, () => (rung += 1));
    await new Promise<void>((resolve) => {
      // Blocked past the alarm: its timer and this one expire in the same turn, the verdict is two immediates away.
      plain(5, () => {
        setImmediate(() => {
          cancel();
          cancel();
          clock.alarm(clock.now() + 30, resolve);
        });
      });
      block(20);
    });
    expect(rung).toBe(0);
  });

  test('farther away than a timer reaches does not ring at once', async () => {
    let rung = 0;
    const cancel = clock.alarm(clock.now() + 1e12, () => (rung += 1));
    await new Promise<void>((resolve) => clock.alarm(clock.now() + 30, resolve));
    cancel();
    expect(rung).toBe(0);
  });
});

describe('the memory clock', () => {
  test('rings what falls due in order, each at its own time, also what was set while ringing', () => {
    const memory = createMemoryClock(1_000_000);
    const rung: string[] = [];
    memory.alarm(30, () => rung.push(`c${memory.now()}`));
    memory.alarm(10, () => {
      rung.push(`a${memory.now()}`);
      memory.alarm(20, () => rung.push(`b${memory.now()}`));
    });
    memory.alarm(40, () => rung.push('late'));
    memory.alarm(25, () => rung.push('cancelled'))();
    memory.advance(35);
    expect(rung).toEqual(['a10', 'b20', 'c30']);
    expect(memory.now()).toBe(35);
    memory.setWall(0);
    expect([memory.now(), memory.wallMs()]).toEqual([35, 0]);
  });
});
