import { userInfo } from 'node:os'
import t from 'tap'
import { homeInPasswd, homeOf, systemUsers } from '../../lib/config/homes.ts'

const users = { running: 'me', home: '/h/me', passwdHome: (user: string) => (user === 'bob' ? '/h/bob' : undefined) }

t.test('$HOME counts for who runs this and for who has no account, the database for others', async (t) => {
  t.same(homeOf('me', users), { dir: '/h/me', isOwn: true })
  t.same(homeOf('bob', users), { dir: '/h/bob', isOwn: false })
  t.same(homeOf('eve', users), { dir: '/h/me', isOwn: true })
})

t.test('the database is read by whole names and absolute homes', async (t) => {
  const text = 'bobby:x:1:1::/h/bobby:/bin/sh\nbob:x:2:2:Bob:/h/bob:/bin/sh\nnone:x:3:3:::\n'
  t.equal(homeInPasswd(text, 'bob'), '/h/bob')
  t.equal(homeInPasswd(text, 'none'), undefined)
  t.equal(homeInPasswd(text, 'bo'), undefined)
})

t.test('this machine knows who runs the test, and nobody of an impossible name', async (t) => {
  t.equal(systemUsers.running, userInfo().username)
  t.ok(systemUsers.home.startsWith('/'))
  t.equal(systemUsers.passwdHome('root'), '/root')
  t.equal(systemUsers.passwdHome('no such user'), undefined)
})
