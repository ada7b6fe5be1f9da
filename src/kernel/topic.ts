/** MQTT topic names and filters, exactly as MQTT 3.1.1 section 4.7 has them. */

/** Longest topic or filter we accept, in UTF-16 units; MQTT itself allows 65 535 bytes. */
export const topicLengthMax = 1024;

/** Deepest topic we accept, in levels (aedes crashes or closes beyond 100). */
export const topicLevelsMax = 64;

const slash = 0x2f;

/** Everything below this root belongs to the mesh and is never a user's topic. */
export const reservedRoot = '$mycel';

/** What a shared subscription begins with: `$share/<group>/<filter>` (MQTT 5 section 4.8.2). */
export const sharePrefix = '$share/';

/** Why a topic name is refused, or undefined when it is fine to publish to. */
export function topicProblem(topic: string): string | undefined {
  if (/[+#]/.test(topic)) return 'it contains a wildcard (+ or #), which only filters may';
  return commonProblem(topic);
}

/** Why a filter is refused, or undefined when it is fine to subscribe to. */
export function filterProblem(filter: string): string | undefined {
  const problem = commonProblem(filter);
  if (problem !== undefined) return problem;
  const levels = filter.split('/');
  for (const [at, level] of levels.entries()) {
    if (level === '#' && at !== levels.length - 1) return "'#' must be the last level";
    if (level.length > 1 && /[+#]/.test(level)) return `'${level}' mixes a wildcard with text`;
  }
  return undefined;
}

/** Whether a subscription is one of a group: each message goes to one of its members. */
export function isShared(filter: string): boolean {
  return filter.startsWith(sharePrefix);
}

/** The filter inside a shared subscription. */
export function sharedFilter(filter: string): string {
  const slashAt = filter.indexOf('/', sharePrefix.length);
  return slashAt < 0 ? '' : filter.slice(slashAt + 1);
}

/** Why a subscription, shared or not, is refused, or undefined when it is fine. */
export function subscriptionProblem(filter: string): string | undefined {
  if (isReservedTopic(filter)) return `it is below the reserved root "${reservedRoot}"`;
  if (filter !== '$share' && !isShared(filter)) return filterProblem(filter);
  const inner = sharedFilter(filter);
  const group = filter.slice(sharePrefix.length, filter.length - inner.length - 1);
  if (group === '' || inner === '') {
    return 'a shared subscription is written $share/<group>/<filter>';
  }
  if (/[+#]/.test(group)) return 'the name of a group contains no wildcard';
  if (isReservedTopic(inner)) return `it is below the reserved root "${reservedRoot}"`;
  return isShared(inner) ? 'a group cannot share a group' : filterProblem(filter);
}

/** Whether the filter matches the topic. `$…` topics match no filter that starts with a wildcard ([MQTT-4.7.2-1]). */
export function topicMatches(filter: string, topic: string): boolean {
  // A topic name has no wildcards: as a filter it matches itself alone.
  if (filter === topic) return true;
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  const filterLevels = filter.split('/');
  const topicLevels = topic.split('/');
  for (const [at, level] of filterLevels.entries()) {
    if (level === '#') return true;
    if (at >= topicLevels.length) return false;
    if (level !== '+' && level !== topicLevels[at]) return false;
  }
  return filterLevels.length === topicLevels.length;
}

/** Whether a topic or filter reaches into the mesh's own root. */
export function isReservedTopic(topic: string): boolean {
  return topic === reservedRoot || topic.startsWith(`${reservedRoot}/`);
}

function commonProblem(text: string): string | undefined {
  if (text.length === 0) return 'it is empty';
  if (text.length > topicLengthMax) return `it is longer than ${topicLengthMax} characters`;
  let levels = 1;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === slash) levels += 1;
    // MQTT-1.5.3 forbids NUL and asks receivers to distrust control characters and lone surrogates.
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return 'it contains a control character';
    if (code < 0xd800 || code > 0xdfff) continue;
    const next = text.charCodeAt(at + 1);
    if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff))
      return 'it is not well-formed Unicode';
    at += 1;
  }
  return levels > topicLevelsMax ? `it has more than ${topicLevelsMax} levels` : undefined;
}
