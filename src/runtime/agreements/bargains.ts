/** Bargains between two nodes, by alternating offers: each side has a strategy, and both hear how it ended. */

import * as z from 'zod/mini';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { createAlternatingOffers } from '../../protocol/agreement/alternating-offers.ts';
import type {
  Bargainer,
  OffersEffect,
  OffersInput,
} from '../../protocol/agreement/alternating-offers.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import type { Services } from '../services/services.ts';
import { answering, serviceOf } from './offered.ts';

const namespace = '$bargain';

/** Bargains of one subject that are open at a node at once; the oldest ends without a deal. */
export const openBargainsMax = 256;

/** Silence after which a side gives up when nobody says, in ms. */
const patienceMsDefault = 5_000;

/** How a bargain ended for one side: its share from 0 to 1; undefined: no deal. */
export interface Deal {
  readonly share: number | undefined;
  /** The offer that was taken, or the last one; they are counted from 0. */
  readonly round: number;
  /** False: this side took the last offer, and the other one may not have heard of it. */
  readonly isConfirmed: boolean;
}

/** Who wants to bargain, and about what. */
export interface BargainWish {
  readonly from: NodeId;
  /** What the first side says it is about, as JSON. */
  readonly terms: unknown;
}

/** The strategy of a side that is asked, and who hears how it ended. */
export interface BargainPartner extends Bargainer {
  settled?(deal: Deal): void;
}

/** How to bargain. */
export interface BargainOptions {
  readonly bargainer: Bargainer;
  readonly terms?: unknown;
  /** Offers of both sides together. @default 64 */
  readonly roundsMax?: number;
  /** @default 5000 */
  readonly patienceMs?: number;
}

const said = z.discriminatedUnion('type', [
  z.object({ type: z.literal('offered'), round: z.int(), share: z.number() }),
  z.object({ type: z.literal('accepted'), round: z.int() }),
  z.object({ type: z.literal('ended') }),
]);
const word = z.object({
  id: z.string().check(z.minLength(1), z.maxLength(64)),
  terms: z.unknown(),
  roundsMax: z.int().check(z.gte(1), z.lte(10_000)),
  patienceMs: z.number().check(z.gte(1), z.lte(86_400_000)),
  said,
});
const answer = z.union([said, z.null()]);
type Said = z.infer<typeof said>;

/** What a side says to the other one; undefined for what stays here. */
function wordOf(effect: OffersEffect): Said | undefined {
  if (effect.type === 'offer') return { type: 'offered', round: effect.round, share: effect.share };
  if (effect.type === 'accept') return { type: 'accepted', round: effect.round };
  return effect.type === 'end' ? { type: 'ended' } : undefined;
}

/** Bargains of one node. */
export interface Bargains {
  partner(subject: string, accept: (wish: BargainWish) => BargainPartner | undefined): () => void;
  negotiate(node: NodeId, subject: string, options: BargainOptions): Promise<Deal>;
}

interface Side {
  readonly driver: Driver<OffersInput>;
  /** What it has said to the input it was fed last. */
  reply: Said | undefined;
}

/** Builds them. */
export function createBargains(world: PartWorld, services: Services): Bargains {
  const { clock, log } = world;
  const random = world.random();

  function sideOf(
    options: Required<Omit<BargainOptions, 'terms'>>,
    isFirst: boolean,
    say: (what: Said, side: Side) => void,
    settled: (share: number | undefined, round: number) => void,
  ): Side {
    const side: Side = {
      reply: undefined,
      driver: drive<OffersInput, OffersEffect>(createAlternatingOffers({ ...options, isFirst }), {
        clock,
        tick: { type: 'tick' },
        run(effect) {
          const what = wordOf(effect);
          if (what !== undefined) say(what, side);
          if (effect.type === 'settle') settled(effect.share, effect.round);
        },
        failed: (_, error) => log.warn({ error }, 'a bargain could not go on'),
        overflowed: () => undefined,
      }),
    };
    return side;
  }

  return {
    partner(subject, accept) {
      const sides = new BoundedMap<string, Side>(openBargainsMax, (_, one) =>
        one.driver.feed({ type: 'ended' }),
      );
      function open(
        key: string,
        { terms, roundsMax, patienceMs }: z.infer<typeof word>,
        from: NodeId,
      ): Side | undefined {
        const partner = accept({ from, terms });
        if (partner === undefined) return undefined;
        const side = sideOf(
          { bargainer: partner, roundsMax, patienceMs },
          false,
          (what, one) => void (one.reply = what),
          // Its own acceptance leaves with the answer, of which it hears no more.
          (share, round) =>
            partner.settled?.({ share, round, isConfirmed: side.reply?.type !== 'accepted' }),
        );
        sides.set(key, side);
        side.driver.feed({ type: 'begun' });
        return side;
      }
      const bargain = answering(word, answer, (given, { from }) => {
        const key = `${from} ${given.id}`;
        const side =
          sides.get(key) ?? (given.said.type === 'offered' ? open(key, given, from) : undefined);
        if (side === undefined) return { type: 'ended' as const };
        side.reply = undefined;
        side.driver.feed(given.said);
        return side.reply ?? null;
      });
      const end = services.provide(serviceOf(namespace, subject, { bargain }));
      return () => {
        end();
        for (const side of sides.values()) side.driver.feed({ type: 'ended' });
        sides.clear();
      };
    },
    negotiate(node, subject, options) {
      const { bargainer, terms = null, roundsMax = 64, patienceMs = patienceMsDefault } = options;
      const isSound = roundsMax >= 1 && roundsMax <= 10_000 && patienceMs >= 1;
      if (!isSound || !Number.isSafeInteger(roundsMax) || patienceMs > 86_400_000) {
        const reason = 'A bargain has 1 to 10000 rounds and a patience of 1 ms to a day.';
        return Promise.reject(new MycelError('MYCEL_BAD_OPTION', { reason }));
      }
      const id =
        random.below(0x1_0000_0000).toString(36) + random.below(0x1_0000_0000).toString(36);
      return new Promise((resolve, reject) => {
        let last: Promise<unknown> = Promise.resolve();
        const side = sideOf(
          { bargainer, roundsMax, patienceMs },
          true,
          (what) => void (last = exchange(what)),
          (share, round) => {
            side.driver.stop();
            // Whether the other side has heard the last word shows when its answer is here.
            last.then(
              () => resolve({ share, round, isConfirmed: true }),
              () => resolve({ share, round, isConfirmed: false }),
            );
          },
        );
        async function exchange(what: Said): Promise<void> {
          const how = { namespace, node, timeoutMs: patienceMs };
          try {
            const body = { id, terms, roundsMax, patienceMs, said: what };
            const reply = (await services.call(`${subject}.bargain`, body, how)) as Said | null;
            if (reply !== null && what.type === 'offered') side.driver.feed(reply);
          } catch (error) {
            if (what.type !== 'offered') throw error;
            side.driver.stop();
            reject(error as Error);
          }
        }
        side.driver.feed({ type: 'begun' });
      });
    },
  };
}
