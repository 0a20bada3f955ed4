// What `monitor --help` prints.

export const USAGE = `monitor keeps folders equal on any number of machines, over ssh.

  monitor -role server [flags]        run the coordinator
  monitor -role client [flags]        run a client
  monitor COMMAND [flags]             ask the running daemon

flags (one dash or two; "-x v" or "-x=v"):
  -role ROLE      server | client
  -ip IP          which node of the configuration this is; left out: as
  -port PORT        in the configuration
  -uname USER
  -config FILE    default: systemsync.cfg in the current directory
  -state DIR      default: $XDG_STATE_HOME/systemsync/<node>
                    (~/.local/state/systemsync/<node>)
  -log FILE       default: <state>/systemsync.log.<ip>-<port>
  -level LEVEL    error | warn | info | debug (default: info)
  -json           print JSON; with a role: log lines on the terminal as JSON
  -once           bring every folder in step, then exit
  -h, -help       this text
  -version        the version

commands:
  check                      how this node understands the configuration
  status                     how each folder stands; exit status 0: in step
  log [FOLDER[/PATH]]        who changed what, when
  history FOLDER/PATH        the versions of one path
  restore FOLDER/PATH[@REV]  bring a version back
  get FOLDER/PATH[@REV]      write a version to standard output
  conflicts                  collisions, and where the losers are kept
  confirm FOLDER             send a held mass delete
  reject FOLDER              bring the files of a held mass delete back
  clients                    who is known and online
  demo                       a coordinator and two clients on this machine
  invite NAME, join CODE, lock FOLDER/PATH, unlock FOLDER/PATH, locks
                             not built yet

A path that ends in "@" and digits is given behind "--": get -- docs/a@12

exit status: 0 done or in step, 1 not all could be synced, 64 usage, 70 a bug,
75 not reachable, 77 not authorised, 78 configuration
`
