/** The version of this package, told to peers and people; a test compares it with package.json. */

export const version = '0.1.0';
