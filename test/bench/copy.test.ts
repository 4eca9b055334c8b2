import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import t from 'tap'

t.test('what the build copies, for the program and for the bench, is all that the compiler leaves out', async (t) => {
  const to = t.testdir()
  execFileSync('npm', ['run', '--silent', 'copy', to])
  const source = filesOf('src').filter((file) => !file.endsWith('.ts'))
  t.ok(source.includes('stores/charge.lua') && source.includes('admin/page/index.html'))
  t.same(filesOf(to), source)
})

function filesOf(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map(({ parentPath, name }) => `${parentPath}/${name}`.slice(folder.length + 1)).sort()
}
