// Fingerprints are those that ssh-keygen prints.

import t from 'tap'
import { fingerprintOf } from '../../lib/ssh/fingerprint.ts'

t.test('a fingerprint is what ssh-keygen -l says of the key', (t) => {
  const base64 = 'AAAAC3NzaC1lZDI1NTE5AAAAIKaNIGXoIl3rdpAzHFaESc8mtRKoq+rJGHe9KDNIGRPX'
  t.equal(fingerprintOf(Buffer.from(base64, 'base64')), 'SHA256:HG49BMl9gsMq9RaY/kK3A13Yglh3sqeS6lVg8bK74rg')
  t.end()
})
