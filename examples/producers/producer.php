<?php
// Adds up a file of amounts, one whole number a line, and reports it as a job to Redis: php producer.php JOB FILE
declare(strict_types=1);
[, $job, $file] = $argv;
$connect = function (): Redis {
    $redis = new Redis();
    $at = parse_url(getenv('STREAMPROC_REDIS') ?: 'redis://127.0.0.1:8701/0');
    $redis->connect($at['host'], $at['port'] ?? 6379, 2.0, null, 0, 2.0);
    isset($at['pass']) && $redis->auth([$at['user'] ?: 'default', urldecode($at['pass'])]);
    $redis->select((int) trim($at['path'] ?? '', '/'));
    return $redis;
};
['format' => $format, 'partitions' => $partitions] = ($redis = $connect())->hMGet('sp:meta', ['format', 'partitions']);
$format === '1' || throw new RuntimeException('no log of format 1 there: does streamproc run?');
$log = sprintf('sp:{%d}:log', crc32($job) % (int) $partitions);
[$src, $seq, $pending] = [bin2hex(random_bytes(8)), 0, []]; // src names this run; seq numbers what it sends

// Oldest first. What isn't confirmed is sent again with the next report, and counts once.
$flush = function () use (&$redis, $connect, $log, &$pending): void {
    try {
        $redis ??= $connect();
        for (; $pending; array_shift($pending)) {
            $redis->xAdd($log, '*', ['e' => $pending[0]]) || throw new RedisException($redis->getLastError());
        }
    } catch (RedisException $error) {
        $redis = null;
        fwrite(STDERR, "not reported yet: {$error->getMessage()}\n");
    }
};
$report = function (string $type, array $fields) use ($flush, $job, $src, &$seq, &$pending): void {
    $facts = compact('job', 'type', 'src') + ['seq' => ++$seq];
    $pending[] = json_encode($facts + $fields, JSON_INVALID_UTF8_SUBSTITUTE);
    $flush();
};

try {
    $stages = [['name' => 'Read', 'weight' => 1], ['name' => 'Add', 'weight' => 4]];
    $report('job.started', ['kind' => 'sum', 'title' => 'Sum of amounts', 'stages' => $stages]);
    $report('stage.started', ['stage' => 'Read']);
    $amounts = @file($file, FILE_IGNORE_NEW_LINES) ?: throw new RuntimeException('no amounts to be read');
    $report('stage.finished', ['stage' => 'Read']);
    [$total, $sum, $told, $due] = [count($amounts), 0, 0, microtime(true) + 0.1];
    $report('job.counted', ['indicator' => 'amounts', 'total' => $total]);
    foreach ($amounts as $at => $amount) {
        $sum += filter_var($amount, FILTER_VALIDATE_INT, FILTER_NULL_ON_FAILURE)
            ?? throw new UnexpectedValueException(sprintf('line %d is not a whole number', $at + 1));
        if (microtime(true) >= $due || $at + 1 === $total) { // ten reports a second
            $report('stage.progressed', ['stage' => 'Add', 'done' => $at + 1, 'total' => $total]);
            $report('job.counted', ['indicator' => 'amounts', 'done' => $at + 1 - $told]);
            [$told, $due] = [$at + 1, microtime(true) + 0.1];
        }
    }
    $report('stage.finished', ['stage' => 'Add']);
    $report('job.finished', ['result' => ['sum' => $sum]]);
} catch (Throwable $error) {
    $report('job.failed', ['error' => ['type' => $error::class, 'detail' => $error->getMessage()]]);
}
for ($tries = 0; $pending && $tries < 5; $tries++, $flush()) sleep(1); // five more tries for the last reports
exit(isset($error) ? 1 : 0);
