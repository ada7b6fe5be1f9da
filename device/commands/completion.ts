/** `mycel completion SHELL` and `mycel man`: made from the command tree itself, so that they never lag behind it. */

import type { Command, Option } from 'commander';

import type { Context } from '../context.ts';
import { usageFailure } from '../failure.ts';
import { version } from '../version.ts';

/** Shells that scripts are written for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

/** One command with what may follow it. */
interface Entry {
  /** Words from the program's name on, without it. */
  readonly path: readonly string[];
  readonly description: string;
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly Option[];
}

/** Prints the script for a shell. @throws {Failure} MYCEL_USAGE */
export function completion(context: Context, program: Command, shell: string): void {
  const entries = entriesOf(program);
  if (shell === 'bash') return context.terminal.line(bashScript(entries));
  if (shell === 'zsh') return context.terminal.line(zshScript(entries));
  if (shell === 'fish') return context.terminal.line(fishScript(entries));
  throw usageFailure(
    `There is no completion for '${shell.slice(0, 20)}'.`,
    `Choose one of ${shells.join(', ')}.`,
  );
}

/** Prints the manual page. */
export function manual(context: Context, program: Command): void {
  context.terminal.line(manPage(entriesOf(program), program.description()));
}

function entriesOf(program: Command): Entry[] {
  const shared = program.options;
  const walk = (command: Command, path: readonly string[]): Entry[] => [
    {
      path,
      description: command.description(),
      subcommands: command.commands.map((one) => ({
        name: one.name(),
        description: one.description(),
      })),
      options: path.length === 0 ? shared : [...command.options, ...shared],
    },
    ...command.commands.flatMap((one) => walk(one, [...path, one.name()])),
  ];
  return walk(program, []);
}

const flagsOf = (entry: Entry): string[] =>
  entry.options.flatMap(({ long, short }) => [long, short].filter((flag) => flag !== undefined));

/** Quotes for a POSIX shell. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function bashScript(entries: readonly Entry[]): string {
  const cases = entries.map((entry) => {
    const words = [...entry.subcommands.map(({ name }) => name), ...flagsOf(entry)].join(' ');
    return `    ${quote(entry.path.join(' '))}) words=${quote(words)} ;;`;
  });
  const known = entries.map(({ path }) => quote(path.join(' '))).join(' ');
  return `# bash completion of mycel. Load it with: source <(mycel completion bash)
_mycel() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' words='' word candidate known
  local -a paths=(${known})
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    candidate="\${path:+$path }$word"
    for known in "\${paths[@]}"; do
      if [ "$known" = "$candidate" ]; then path=$candidate; fi
    done
  done
  case $path in
${cases.join('\n')}
  esac
  if [ -z "$current" ]; then
    local shown='' one
    for one in $words; do case $one in -*) ;; *) shown="$shown $one" ;; esac; done
    words=\${shown:-$words}
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _mycel mycel`;
}

function zshScript(entries: readonly Entry[]): string {
  const describe = (name: string, text: string): string =>
    quote(`${name.replaceAll(':', '\\:')}:${text.replaceAll(':', ' ')}`);
  const cases = entries.map((entry) => {
    const words = [
      ...entry.subcommands.map(({ name, description }) => describe(name, description)),
      ...entry.options.flatMap(({ long, description }) =>
        long === undefined ? [] : [describe(long, description)],
      ),
    ];
    return `    ${quote(entry.path.join(' '))}) choices=(${words.join(' ')}) ;;`;
  });
  const known = entries.map(({ path }) => quote(path.join(' '))).join(' ');
  return `#compdef mycel
# zsh completion of mycel. Load it with: source <(mycel completion zsh)
_mycel() {
  local at='' word candidate
  local -a words_before=("\${(@)words[2,CURRENT-1]}") paths=(${known})
  for word in $words_before; do
    candidate="\${at:+$at }$word"
    if (( \${paths[(Ie)$candidate]} )); then at=$candidate; fi
  done
  local -a choices
  case $at in
${cases.join('\n')}
  esac
  _describe mycel choices || _files
}
compdef _mycel mycel`;
}

function fishScript(entries: readonly Entry[]): string {
  const lines = entries.flatMap((entry) => {
    const when = quote(conditionOf(entry));
    return [
      ...entry.subcommands.map(
        ({ name, description }) =>
          `complete -c mycel -f -n ${when} -a ${quote(name)} -d ${quote(description)}`,
      ),
      ...entry.options.flatMap(({ long, short, description }) => {
        if (long === undefined) return [];
        const brief = short === undefined ? '' : ` -s ${short.slice(1)}`;
        return [
          `complete -c mycel -n ${when}${brief} -l ${long.slice(2)} -d ${quote(description)}`,
        ];
      }),
    ];
  });
  return `# fish completion of mycel. Load it with: mycel completion fish | source
${lines.join('\n')}`;
}

/** Fish knows which words were typed: all of the path, and none of the next ones. */
function conditionOf({ path, subcommands }: Entry): string {
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
  const names = subcommands.map(({ name }) => name).join(' ');
  const fresh = names === '' ? [] : [`not __fish_seen_subcommand_from ${names}`];
  return [...seen, ...fresh].join('; and ') || '__fish_use_subcommand';
}

/** Roff takes a dot or an apostrophe at the start of a line for an order, and a hyphen for something else. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1');
}

function manPage(entries: readonly Entry[], about: string): string {
  const [top, ...commands] = entries;
  const leaves = commands.filter(({ subcommands }) => subcommands.length === 0);
  const shared = new Set(top?.options.map(({ flags }) => flags));
  const optionLines = (options: readonly Option[]): string[] =>
    options.flatMap(({ flags, description }) => [
      '.RS',
      '.TP',
      `.B ${roff(flags)}`,
      roff(description),
      '.RE',
    ]);
  return [
    `.TH MYCEL 1 "" "mycel ${roff(version)}" "User Commands"`,
    '.SH NAME',
    `mycel \\- ${roff(about.replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    '.B mycel',
    '.I command',
    '[\\fIoptions\\fR]',
    '.SH OPTIONS OF ALL COMMANDS',
    ...optionLines(top?.options ?? []),
    '.SH COMMANDS',
    ...leaves.flatMap(({ path, description, options }) => [
      '.TP',
      `.B ${roff(path.join(' '))}`,
      roff(description),
      ...optionLines(options.filter(({ flags }) => !shared.has(flags))),
    ]),
    '.SH EXIT STATUS',
    '0 done, 1 failed, 2 the command line is wrong, 3 no node is running.',
    '.SH ENVIRONMENT',
    '.TP',
    '.B MYCEL_DATA_DIR',
    'The directory of the node.',
    '.TP',
    '.B MYCEL_JOIN\\fR, \\fBMYCEL_JOIN_FILE',
    'An invite, or the file that holds one.',
    '.TP',
    '.B NO_COLOR\\fR, \\fBFORCE_COLOR',
    'Turn colour off or on.',
  ].join('\n');
}
