# Adds up a file of amounts, one whole number a line, and reports it as a job to Redis: ruby producer.rb JOB FILE
require "json"
require "redis"
require "securerandom"
require "zlib"

@job, file = ARGV
@redis = Redis.new(url: ENV.fetch("STREAMPROC_REDIS", "redis://127.0.0.1:8701/0"), timeout: 2, reconnect_attempts: 0)
format, partitions = @redis.hmget("sp:meta", "format", "partitions")
abort "no log of format 1 there: does streamproc run?" unless format == "1"
@log = "sp:{#{Zlib.crc32(@job) % partitions.to_i}}:log"
@src = SecureRandom.uuid # names this run; seq numbers what it sends
@seq = 0
@pending = []

def report(type, **fields)
  @pending << JSON.generate({ job: @job, type: type, src: @src, seq: @seq += 1, **fields })
  flush
end

# Oldest first. What isn't confirmed is sent again with the next report, and counts once.
def flush
  @pending.shift while @pending.any? && @redis.xadd(@log, { e: @pending.first })
rescue Redis::BaseError => e
  warn "not reported yet: #{e.message}"
end

def add(amounts)
  sum = told = 0
  due = Time.now + 0.1
  report("job.counted", indicator: "amounts", total: amounts.size)
  amounts.each.with_index(1) do |amount, done|
    sum += Integer(amount, 10, exception: false) || raise(ArgumentError, "line #{done} is not a whole number")
    next if Time.now < due && done < amounts.size # ten reports a second

    report("stage.progressed", stage: "Add", done: done, total: amounts.size)
    report("job.counted", indicator: "amounts", done: done - told)
    told = done
    due = Time.now + 0.1
  end
  report("stage.finished", stage: "Add")
  sum
end

begin
  stages = [{ name: "Read", weight: 1 }, { name: "Add", weight: 4 }]
  report("job.started", kind: "sum", title: "Sum of amounts", stages: stages)
  report("stage.started", stage: "Read")
  amounts = File.readlines(file, chomp: true)
  report("stage.finished", stage: "Read")
  report("job.finished", result: { sum: add(amounts) })
rescue StandardError => e
  report("job.failed", error: { type: e.class.name, detail: e.message })
end
5.times { sleep(1) && flush if @pending.any? } # five more tries for the last reports
exit(e.nil?)
