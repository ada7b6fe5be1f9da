/** What a node did before it restarted is asked for after it: real services, and agents in every state they can be in. */

import * as z from 'zod/mini';
import { expect, test } from 'vitest';
import { action, defineService } from '../../../src/agent/service.ts';
import type { DueAgent } from '../../../src/runtime/agents/deploy-options.ts';
import { createDuties, dutiesMax } from '../../../src/runtime/update/duties.ts';
import { until } from '../loopback.ts';
import { createStage } from '../services/stage.ts';
import type { Seat } from '../services/stage.ts';

const due = (name: string, state: string | undefined, restarts = 0): DueAgent => {
  return { agent: name, instance: `${name}#0`, state, restarts };
};

async function stage() {
  const { seats } = await createStage(2);
  const [here, there] = seats as [Seat, Seat];
  const agents: DueAgent[] = [];
  const duties = createDuties({ due: () => agents }, here.all, here.id);
  return { here, there, agents, duties };
}

const lights = (isHealthy?: () => boolean) =>
  defineService({
    name: 'lights',
    version: '1.0.0',
    ...(isHealthy === undefined ? {} : { isHealthy }),
    actions: { on: action({ input: z.object({}), output: z.object({}) }, () => ({})) },
  });

test('agents that run and services that are well are done; what is not is no duty', async () => {
  const { here, there, agents, duties } = await stage();
  agents.push(due('heater', 'running'), due('broken', 'failed'), due('late', undefined));
  here.service(lights());
  there.service(lights());
  expect(duties.done()).toEqual(['agent heater', 'service default/lights']);
  for (let at = 0; at < 2 * dutiesMax; at += 1) agents.push(due(`a${at}`, 'running'));
  expect(duties.done()).toHaveLength(dutiesMax);
});

test.each([
  ['does not run', due('heater', undefined), 'agent heater#0 does not run'],
  ['does not get ready', due('heater', 'starting'), 'agent heater#0 is starting'],
  ['waits to be started again', due('heater', 'waiting', 3), 'agent heater#0 is waiting'],
  ['is given up', due('heater', 'failed', 5), 'agent heater#0 is failed'],
  ['runs', due('heater', 'running'), undefined],
  ['is one that never ran before', due('other', 'failed'), undefined],
])('an agent that %s', async (_, agent, trouble) => {
  const { agents, duties } = await stage();
  agents.push(agent);
  expect(await duties.trouble(['agent heater'])).toBe(trouble);
});

test('an agent that runs elsewhere by now, or nowhere on purpose, is not missed', async () => {
  const { duties } = await stage();
  expect(await duties.trouble(['agent heater'])).toBeUndefined();
});

test('an agent that falls and is up again between two looks is seen', async () => {
  const { agents, duties } = await stage();
  agents.push(due('heater', 'running', 2));
  expect(await duties.trouble(['agent heater'])).toBeUndefined();
  agents[0] = due('heater', 'running', 3);
  expect(await duties.trouble(['agent heater'])).toBe('agent heater#0 failed');
  expect(await duties.trouble(['agent heater'])).toBeUndefined();
});

test('a service is asked for on this very node, and for how it is at that moment', async () => {
  const { here, there, duties } = await stage();
  const before = ['service default/lights'];
  there.service(lights());
  await until(() => here.services().length === 1);
  expect(await duties.trouble(before)).toBe('service default/lights is not offered');
  let isWell = false;
  here.service(lights(() => isWell));
  expect(await duties.trouble(before)).toBe('service default/lights is not well');
  isWell = true;
  expect(await duties.trouble(before)).toBeUndefined();
});
