/** Where an existing MQTT broker is that carries links between sites: `mqtt://user:password@host:port`. */

/** A broker. The password is a secret: `describe` is what may be shown. */
export interface BackboneUrl {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Longest text that is read, in characters. */
export const backboneUrlMax = 1024;

const ports: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 };

/** Reads it; undefined when it is none. A path, a query or a fragment belongs to no such broker. */
export function parseBackboneUrl(text: string): BackboneUrl | undefined {
  if (text.length > backboneUrlMax || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const usual = ports[url.protocol];
  const isBare = ['', '/'].includes(url.pathname) && url.search === '' && url.hash === '';
  if (usual === undefined || !isBare || url.hostname === '') return undefined;
  const port = url.port === '' ? usual : Number(url.port);
  try {
    const [username, password] = [url.username, url.password].map(decodeURIComponent);
    // MQTT 3.1.1 knows no password without a user.
    if (port === 0 || (username === '' && password !== '')) return undefined;
    return {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port,
      isTls: url.protocol === 'mqtts:',
      username: username === '' ? undefined : username,
      password: password === '' ? undefined : password,
    };
  } catch {
    // A percent sign that stands for nothing.
    return undefined;
  }
}

/** The broker as people and logs may see it: without user and password. */
export function describeBackbone({ host, port }: BackboneUrl): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
