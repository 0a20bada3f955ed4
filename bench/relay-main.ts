// The process of the delay line: makes ways as its parent asks, and tells how many bytes went through.

import { Lane, type Link, openWay, type OpenWay, type RelayAnswer } from './relay.ts'

const TELL_MS = 50

const links = new Map<string, Link>()

process.on('message', (message) => {
  const { link: name, port, kind } = message as OpenWay
  const link = links.get(name) ?? { there: new Lane(kind), back: new Lane(kind), kind }
  links.set(name, link)
  void openWay(link, port).then((listening) => tell({ listening }))
})
process.on('disconnect', () => process.exit(0))

let told = -1
setInterval(() => {
  const carriedBytes = [...links.values()].reduce(
    (sum, { there, back }) => sum + there.carriedBytes + back.carriedBytes,
    0,
  )
  if (carriedBytes === told) return
  told = carriedBytes
  tell({ carriedBytes })
}, TELL_MS)

function tell(answer: RelayAnswer): void {
  process.send?.(answer)
}
