import t from 'tap'
import { readArguments } from '../../lib/commands/arguments.ts'
import { UsageError } from '../../lib/errors.ts'

t.test('each form of a flag means the same', async (t) => {
  for (const argv of [['-port', '22'], ['-port=22'], ['--port', '22'], ['--port=22']]) {
    t.match(readArguments(argv), { port: 22, words: [] }, argv.join(' '))
  }
  for (const flag of ['-h', '--h', '-help', '--help']) t.equal(readArguments([flag]).help, true, flag)
})

t.test('every flag is read, wherever it stands', async (t) => {
  const argv =
    '-role server log -ip ::1 -port 1 docs/a -uname x -config c -state s -log l -level debug -json -once --version'
  t.match(readArguments(argv.split(' ')), {
    role: 'server',
    ip: '::1',
    port: 1,
    uname: 'x',
    config: 'c',
    state: 's',
    log: 'l',
    level: 'debug',
    json: true,
    once: true,
    help: false,
    version: true,
    words: ['log', 'docs/a'],
  })
  t.equal(readArguments(['-config=a=b']).config, 'a=b')
  t.equal(readArguments(['-state=-x']).state, '-x')
  t.same(readArguments(['get', '-']).words, ['get', '-'])
})

t.test('behind -- all are words', async (t) => {
  t.match(readArguments(['get', '--', '-role', '--']), { words: ['get', '-role', '--'], literalFrom: 1 })
  t.equal(readArguments(['get', 'x']).literalFrom, Infinity)
})

t.test('what is wrong is a usage error that says what would be right', async (t) => {
  const cases: [string, RegExp][] = [
    ['-rol server', /Unknown flag "-rol"/],
    ['-r server', /Unknown flag "-r"/],
    ['--no-json', /Unknown flag/],
    ['-constructor x', /Unknown flag/],
    ['---role server', /Unknown flag/],
    ['-Role server', /Unknown flag/],
    ['-role master', /-role has the value "master": give one of server, client/],
    ['-role', /-role needs a value: none/],
    ['-role -json', /-role needs a value: "-json" follows/],
    ['-role=', /-role has the value ""/],
    ['-config=', /-config has the value ""/],
    ['-port abc', /give a port from 1 to 65535/],
    ['-port 0', /give a port/],
    ['-port 65536', /give a port/],
    ['-port 1e3', /give a port/],
    ['-ip 1.2.3', /give an IP address/],
    ['-uname a/b', /give a user name/],
    ['-level loud', /give one of error/],
    ['-json=yes', /takes no value: "yes"/],
    ['-port 1 --port=2', /-port is given twice/],
  ]
  for (const [line, message] of cases) {
    const error = t.throws(() => readArguments(line.split(' ')), UsageError) as UsageError
    t.match(error.message, message, line)
    t.equal(error.exitStatus, 64)
  }
})
