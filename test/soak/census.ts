/** What is on the heap of a node by kind of object, as V8 prints it at a garbage collection: the program's own apart from V8's. */

/**
 * Kinds that V8 makes when it compiles functions and learns how they are used; they end at the size of the program. Tables
 * of compiled code are byte arrays, and so is what a small typed array holds; the typed array itself is the program's own.
 */
const compiledKinds =
  /^(?:TURBOFAN|MAGLEV|BASELINE|BUILTIN|INTERPRETED_FUNCTION|(?:CODE|CODE_.*|BYTE_ARRAY|INSTRUCTION_STREAM|BYTECODE_.*|DEOPTIMIZATION_.*|EMBEDDED_OBJECT|OPTIMIZED_CODE_.*|FEEDBACK_.*|.*_FEEDBACK_.*|SCOPE_INFO|SHARED_FUNCTION_INFO|UNCOMPILED_.*|PREPARSE_DATA|SCRIPT|SCRIPT_.*|SOURCE_POSITION_TABLE|RELOC_INFO|LOAD_HANDLER|STORE_HANDLER|MAP|MAP_.*|.*DESCRIPTOR_ARRAY|TRANSITION_ARRAY|PROTOTYPE_INFO|PROTOTYPE_USERS|WEAK_FIXED_ARRAY|WEAK_ARRAY_LIST|RETAINED_MAPS|ENUM_CACHE|ENUM_KEYS_CACHE|ENUM_INDICES_CACHE|NUMBER_STRING_CACHE|STRING_SPLIT_CACHE|REGEXP_.*|ALLOCATION_SITE|ALLOCATION_MEMENTO|BOILERPLATE_.*|OBJECT_LITERAL_.*|ARRAY_BOILERPLATE_.*|TEMPLATE_OBJECT_DESCRIPTION|CLASS_BOILERPLATE)_TYPE)$/;

/** Bytes on the heap of one node. */
export interface Census {
  /** Objects, arrays, strings, closures and whatever else the program makes. */
  readonly own: number;
  /** What V8 has compiled, and what it has learnt on the way. */
  readonly compiled: number;
  readonly kinds: ReadonlyMap<string, number>;
}

/** Whether a line is one of a census. */
export function isCensusLine(text: string): boolean {
  return text.startsWith('{ "isolate"');
}

/** Adds up the lines of one garbage collection. @throws when V8 printed none */
export function countCensus(lines: readonly string[]): Census {
  const kinds = new Map<string, number>();
  let own = 0;
  let compiled = 0;
  for (const line of lines) {
    const entry = JSON.parse(line) as Record<string, unknown>;
    if (entry['key'] !== 'live' || entry['type'] !== 'instance_type_data') continue;
    const kind = String(entry['instance_type_name']);
    const bytes = Number(entry['overall']);
    kinds.set(kind, bytes);
    if (compiledKinds.test(kind)) compiled += bytes;
    else own += bytes;
  }
  if (own === 0) throw new Error('this Node.js counts no objects');
  return { own, compiled, kinds };
}

/** The kinds of the program's own objects that grew most from one census to another, in words. */
export function grownKinds(before: Census, after: Census, count: number): string {
  const grown = [...after.kinds]
    .filter(([kind]) => !compiledKinds.test(kind))
    .map(([kind, bytes]) => ({ kind, more: bytes - (before.kinds.get(kind) ?? 0) }))
    .toSorted((one, other) => other.more - one.more);
  return grown
    .slice(0, count)
    .map(({ kind, more }) => `${kind.replace(/_TYPE$/, '')} ${more}`)
    .join(', ');
}
