// Adds up a file of amounts, one whole number a line, and reports it as a job to Redis: node producer.js JOB FILE
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { Redis } from 'ioredis'

const [job, file] = process.argv.slice(2)
const redis = new Redis(process.env.STREAMPROC_REDIS ?? 'redis://127.0.0.1:8701/0', {
  lazyConnect: true, commandTimeout: 2000, maxRetriesPerRequest: 0,
})
redis.on('error', (error) => console.error(error.message))
await redis.connect()
const [format, partitions] = await redis.hmget('sp:meta', 'format', 'partitions')
if (format !== '1') throw new Error('no log of format 1 there: does streamproc run?')
const log = `sp:{${crc32(job) % partitions}}:log`
const src = crypto.randomUUID() // names this run; seq numbers what it sends
let seq = 0, pending = []

async function report(type, fields) {
  pending.push(JSON.stringify({ job, type, src, seq: ++seq, ...fields }))
  await flush()
}

async function flush() { // Oldest first. What isn't confirmed is sent again with the next report, and counts once.
  try {
    for (; pending.length; pending.shift()) await redis.xadd(log, '*', 'e', pending[0])
  } catch (error) {
    console.error(`not reported yet: ${error.message}`)
  }
}

async function add(amounts) {
  let sum = 0, told = 0, due = Date.now() + 100
  await report('job.counted', { indicator: 'amounts', total: amounts.length })
  for (const [at, amount] of amounts.entries()) {
    if (!/^-?\d+$/.test(amount)) throw new TypeError(`line ${at + 1} is not a whole number`)
    sum += Number(amount)
    if (Date.now() < due && at + 1 < amounts.length) continue // ten reports a second
    await report('stage.progressed', { stage: 'Add', done: at + 1, total: amounts.length })
    await report('job.counted', { indicator: 'amounts', done: at + 1 - told })
    told = at + 1, due = Date.now() + 100
  }
  await report('stage.finished', { stage: 'Add' })
  return sum
}

try {
  const stages = [{ name: 'Read', weight: 1 }, { name: 'Add', weight: 4 }]
  await report('job.started', { kind: 'sum', title: 'Sum of amounts', stages })
  await report('stage.started', { stage: 'Read' })
  const amounts = (await readFile(file, 'utf8')).match(/.+/g) ?? []
  await report('stage.finished', { stage: 'Read' })
  await report('job.finished', { result: { sum: await add(amounts) } })
} catch (error) {
  await report('job.failed', { error: { type: error.name, detail: error.message } })
  process.exitCode = 1
}
for (let i = 0; i < 5 && pending.length; i++) await sleep(1000).then(flush) // five more tries for the last
redis.disconnect()
