/** MQTT topic names and filters, exactly as MQTT 3.1.1 section 4.7 has them. */

/** Longest topic or filter we accept, in UTF-16 units; MQTT itself allows 65 535 bytes. */
export const topicLengthMax = 1024;

/** Deepest topic we accept, in levels (aedes crashes or closes beyond 100). */
export const topicLevelsMax = 64;

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
  // MQTT-1.5.3 forbids NUL and asks receivers to distrust control characters and lone surrogates.
  // eslint-disable-next-line no-control-regex -- control characters are what this line is about
  if (/[\u0000-\u001f\u007f-\u009f]/.test(text)) return 'it contains a control character';
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text))
    return 'it is not well-formed Unicode';
  if (text.split('/').length > topicLevelsMax) return `it has more than ${topicLevelsMax} levels`;
  return undefined;
}
