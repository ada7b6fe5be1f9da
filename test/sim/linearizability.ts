/**
 * Whether a history of concurrent operations could have happened one at a time (Wing & Gong 1993, with the memory of
 * Lowe 2017): every operation takes effect at one instant between its call and its return.
 */

/** A call or a return. Operations are numbered from 0; every call has a return, those of unknown fate at the very end. */
export interface HistoryEvent<Value> {
  readonly kind: 'call' | 'return';
  readonly id: number;
  readonly value: Value;
}

/** What one object does: the next state when the operation and its result fit, undefined when they do not. */
export interface SequentialModel<State, Value> {
  readonly initial: State;
  step(state: State, call: Value, result: Value): { readonly state: State } | undefined;
  /** A text that is equal for equal states. */
  keyOf(state: State): string;
}

interface Node<Value> {
  readonly id: number;
  readonly value: Value;
  /** The return of a call. */
  match: Node<Value> | undefined;
  next: Node<Value> | undefined;
  prev: Node<Value> | undefined;
}

/** Checks one object's history. Cut a history by its keys first: objects that do not touch are checked apart. */
export function isLinearizable<State, Value>(
  events: readonly HistoryEvent<Value>[],
  model: SequentialModel<State, Value>,
): boolean {
  const count = events.filter(({ kind }) => kind === 'call').length;
  const taken = new Uint32Array((count + 31) >> 5);
  const words = new Uint16Array(taken.buffer);
  const head = listOf(events);
  const seen = new Set<string>();
  const stack: { readonly node: Node<Value>; readonly state: State }[] = [];
  let state = model.initial;
  let at = head.next;
  while (head.next !== undefined) {
    if (at === undefined) return false;
    if (at.match === undefined) {
      // A return whose call has not taken effect: what was chosen last must be chosen otherwise.
      const last = stack.pop();
      if (last === undefined) return false;
      state = last.state;
      flip(taken, last.node.id);
      unlift(last.node);
      at = last.node.next;
      continue;
    }
    const after = model.step(state, at.value, at.match.value);
    if (after !== undefined) {
      flip(taken, at.id);
      const key = `${String.fromCharCode(...words)}|${model.keyOf(after.state)}`;
      if (!seen.has(key)) {
        seen.add(key);
        stack.push({ node: at, state });
        state = after.state;
        lift(at);
        at = head.next;
        continue;
      }
      flip(taken, at.id);
    }
    at = at.next;
  }
  return true;
}

function listOf<Value>(events: readonly HistoryEvent<Value>[]): Node<Value> {
  const nodeOf = (id: number, value: Value): Node<Value> => {
    return { id, value, match: undefined, next: undefined, prev: undefined };
  };
  const head = nodeOf(-1, undefined as Value);
  const calls = new Map<number, Node<Value>>();
  let tail = head;
  for (const { kind, id, value } of events) {
    const node = nodeOf(id, value);
    node.prev = tail;
    tail.next = node;
    tail = node;
    if (kind === 'call') calls.set(id, node);
    else {
      const call = calls.get(id);
      if (call === undefined) throw new Error(`operation ${id} returns without having been called`);
      call.match = node;
    }
  }
  return head;
}

function flip(bits: Uint32Array, id: number): void {
  bits[id >> 5] = (bits[id >> 5] as number) ^ (1 << (id & 31));
}

function lift<Value>(call: Node<Value>): void {
  unlink(call);
  unlink(call.match as Node<Value>);
}

function unlink<Value>(node: Node<Value>): void {
  if (node.prev !== undefined) node.prev.next = node.next;
  if (node.next !== undefined) node.next.prev = node.prev;
}

function unlift<Value>(call: Node<Value>): void {
  relink(call.match as Node<Value>);
  relink(call);
}

function relink<Value>(node: Node<Value>): void {
  if (node.prev !== undefined) node.prev.next = node;
  if (node.next !== undefined) node.next.prev = node;
}

/** An operation on one key, and what came back. `unknown`: nobody knows whether it was done. */
export type RegisterOp =
  | { readonly op: 'get' }
  | { readonly op: 'put'; readonly value: string }
  | { readonly op: 'cas'; readonly from: string; readonly to: string }
  | { readonly op: 'value'; readonly value: string }
  | { readonly op: 'ok' }
  | { readonly op: 'conflict' }
  | { readonly op: 'unknown' };

/** A key that is read, written and compared-and-set. Empty text: absent. */
export const registerModel: SequentialModel<string, RegisterOp> = {
  initial: '',
  keyOf: (state) => state,
  step(state, call, result) {
    switch (call.op) {
      case 'get':
        return result.op === 'unknown' || (result.op === 'value' && result.value === state)
          ? { state }
          : undefined;
      case 'put':
        return { state: call.value };
      case 'cas': {
        const isMet = state === call.from;
        if (result.op === 'unknown') return { state: isMet ? call.to : state };
        return isMet === (result.op === 'ok') ? { state: isMet ? call.to : state } : undefined;
      }
      default:
        return undefined;
    }
  },
};

/** An operation on one lock. */
export type LockOp =
  | { readonly op: 'acquire'; readonly owner: string }
  | { readonly op: 'release'; readonly owner: string }
  | { readonly op: 'granted'; readonly token: number }
  | { readonly op: 'busy' }
  | { readonly op: 'ok' }
  | { readonly op: 'not-held' }
  | { readonly op: 'unknown' };

/** A lock: one owner at a time, and tokens that only grow. */
export const lockModel: SequentialModel<{ owner: string; token: number }, LockOp> = {
  initial: { owner: '', token: 0 },
  keyOf: ({ owner, token }) => `${owner} ${token}`,
  step(state, call, result) {
    if (call.op === 'acquire') {
      if (result.op === 'busy') {
        return state.owner !== '' && state.owner !== call.owner ? { state } : undefined;
      }
      if (result.op === 'granted') {
        if (state.owner === call.owner) return result.token === state.token ? { state } : undefined;
        const isFree = state.owner === '' && result.token > state.token;
        return isFree ? { state: { owner: call.owner, token: result.token } } : undefined;
      }
      // Unknown: it may have been granted under a token that nobody was told.
      return state.owner === '' ? { state: { owner: call.owner, token: state.token } } : { state };
    }
    if (call.op !== 'release') return undefined;
    const isHeld = state.owner === call.owner;
    if (result.op === 'unknown') return { state: isHeld ? { ...state, owner: '' } : state };
    if (isHeld !== (result.op === 'ok')) return undefined;
    return { state: isHeld ? { ...state, owner: '' } : state };
  },
};
