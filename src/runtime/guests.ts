/** Guest accounts of this node: plain MQTT clients on the LAN, closed until the first one is added. */

import { MycelError } from '../kernel/errors.ts';
import { filterProblem, isReservedTopic } from '../kernel/topic.ts';
import type { Store } from '../ports/store.ts';
import { decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { base32 } from '../kernel/ids.ts';
import { randomBytes } from '../wire/keys.ts';
import type { Ground, GuestAccount, NodeAdapters } from './adapters.ts';
import type { GuestInfo } from './mesh-node.ts';

/** Guest accounts one node keeps. */
export const guestsMax = 64;

/** Port of the guest listener when nobody says otherwise. */
export const guestPortDefault = 1884;

/**
 * Opens, moves or closes the guest listener and returns its port.
 * @throws {MycelError} MYCEL_PORT_TAKEN when a stated port is; any other moves to a free one.
 */
export async function openGuestListener(
  ground: Ground,
  wanted: {
    /** Address to listen on; undefined closes it. */
    readonly host: string | undefined;
    readonly portStated: number | undefined;
    readonly portBefore: number | undefined;
  },
): Promise<number | undefined> {
  const { host, portStated, portBefore } = wanted;
  if (host === undefined) return ground.openGuests(undefined);
  try {
    const port = portBefore ?? portStated ?? guestPortDefault;
    return await ground.openGuests({ port, hosts: [host] });
  } catch (error) {
    if (portStated !== undefined || !MycelError.is(error)) throw error;
    return ground.openGuests({ port: 0, hosts: [host] });
  }
}

/** The accounts, on disk and in the broker. */
export interface Guests {
  list(): readonly GuestInfo[];
  add(
    name: string,
    password: string | undefined,
    rules: { readonly publish?: readonly string[]; readonly subscribe?: readonly string[] },
  ): Promise<string>;
  remove(name: string): Promise<void>;
}

/** Loads the accounts and hands them to the broker. `changed` is called when the listener should open or close. */
export async function loadGuests(world: {
  readonly store: Store;
  readonly ground: Ground;
  readonly hashPassword: NodeAdapters['hashPassword'];
  changed(count: number): Promise<void>;
}): Promise<Guests> {
  const { store, ground } = world;
  const accounts = new Map<string, GuestAccount>();
  for (const account of decodeAccounts(await store.read('guests'))) {
    accounts.set(account.name, account);
  }

  async function persist(): Promise<void> {
    await store.write('guests', encodeAccounts([...accounts.values()]));
    ground.setGuests([...accounts.values()]);
    await world.changed(accounts.size);
  }

  ground.setGuests([...accounts.values()]);
  await world.changed(accounts.size);
  return {
    list: () =>
      [...accounts.values()].map(({ name, publish, subscribe }) => ({ name, publish, subscribe })),
    async add(name, password, rules) {
      if (!/^[a-zA-Z0-9_-]{1,32}$/.test(name)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `'${name.slice(0, 40)}' is no guest name: use 1 to 32 letters, digits, '_' or '-'.`,
        });
      }
      if (accounts.size >= guestsMax && !accounts.has(name)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `This node keeps ${guestsMax} guests at most.`,
          fix: 'Remove one with "mycel guest rm NAME".',
        });
      }
      const own = [`guest/${name}/#`];
      const publish = rules.publish ?? own;
      const subscribe = rules.subscribe ?? own;
      for (const filter of [...publish, ...subscribe]) checkRule(filter);
      const secret = password ?? base32(randomBytes(10));
      if (secret.length < 8) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: 'A guest password needs 8 characters.',
        });
      }
      accounts.set(name, { name, ...(await world.hashPassword(secret)), publish, subscribe });
      await persist();
      return secret;
    },
    async remove(name) {
      if (!accounts.delete(name)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `There is no guest '${name.slice(0, 40)}'.`,
          fix: 'See "mycel guest ls".',
        });
      }
      await persist();
      ground.broker.evictGuest(name, 'the guest was removed');
    },
  };
}

/** A guest's rule is a filter below a named first level: the whole tree and `$` topics stay closed. */
function checkRule(filter: string): void {
  const problem = /^[+#$]/.test(filter)
    ? "a guest's rule must begin with a named level"
    : isReservedTopic(filter)
      ? 'it is reserved'
      : filterProblem(filter);
  if (problem !== undefined) {
    throw new MycelError('MYCEL_BAD_TOPIC', { filter, reason: `Rule '${filter}': ${problem}.` });
  }
}

function encodeAccounts(accounts: readonly GuestAccount[]): Uint8Array {
  return encodeCbor(
    accounts.map(({ name, salt, hash, publish, subscribe }) => [
      name,
      salt,
      hash,
      publish,
      subscribe,
    ]),
  );
}

function decodeAccounts(bytes: Uint8Array | undefined): GuestAccount[] {
  if (bytes === undefined) return [];
  const value = decodeCbor(bytes);
  if (!Array.isArray(value)) return [];
  return (value as unknown[]).slice(0, guestsMax).flatMap((row) => {
    if (!Array.isArray(row)) return [];
    const [name, salt, hash, publish, subscribe] = row as unknown[];
    return typeof name === 'string' &&
      salt instanceof Uint8Array &&
      hash instanceof Uint8Array &&
      isTextList(publish) &&
      isTextList(subscribe)
      ? [{ name, salt, hash, publish, subscribe }]
      : [];
  });
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
