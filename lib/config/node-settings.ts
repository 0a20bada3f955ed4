// Small settings that one node keeps for itself, in `<state>/node.json`.

import { randomUUID } from 'node:crypto'
import Conf from 'conf'
import type { HostPath } from '../model/path.ts'

interface Stored {
  /** A random name of this node, made at its first start. */
  id: string
  /** Key fingerprints (`SHA256:…`) by client name; the coordinator binds a name to its key at first contact. */
  keys: Record<string, string>
}

/** Read and written at once; the file is replaced as a whole, readable by its owner only. */
export class NodeSettings {
  readonly #conf: Conf<Stored>

  constructor(stateDir: HostPath) {
    this.#conf = new Conf<Stored>({
      cwd: stateDir,
      configName: 'node',
      configFileMode: 0o600,
      accessPropertiesByDotNotation: false,
      clearInvalidConfig: false,
      defaults: { id: '', keys: {} },
    })
  }

  /** The id of this node, the same at every start. */
  nodeId(): string {
    const known = this.#conf.get('id')
    if (known !== '') return known
    const id = randomUUID()
    this.#conf.set('id', id)
    return id
  }

  /** The fingerprint of the key that `client` is bound to; `undefined`: none yet. */
  keyOf(client: string): string | undefined {
    const { keys } = this.#conf.store
    return Object.hasOwn(keys, client) ? keys[client] : undefined
  }

  /** Binds `client` to the key with `fingerprint`, instead of any before. */
  bindKey(client: string, fingerprint: string): void {
    this.#conf.set('keys', { ...this.#conf.get('keys'), [client]: fingerprint })
  }

  /** Every binding, by client name. */
  keys(): ReadonlyMap<string, string> {
    return new Map(Object.entries(this.#conf.get('keys')))
  }
}
