/** MQTT topic names and filters, exactly as MQTT 3.1.1 section 4.7 has them. */

/** Longest topic or filter we accept, in UTF-16 units; MQTT itself allows 65 535 bytes. */
export const topicLengthMax = 1024;

/** Deepest topic we accept, in levels (aedes crashes or closes beyond 100). */
export const topicLevelsMax = 64;

const slash = 0x2f;

/** Everything below this root belongs to the mesh and is never a user's topic. */
export const reservedRoot = '$mycel';

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
