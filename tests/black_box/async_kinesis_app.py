"""An application on async-kinesis: leases and checkpoints in Redis. Prints each record that it has processed as a line.

Ends on SIGTERM as its users would end it: what was processed is checkpointed, the leases are given back.
"""

import asyncio
import signal
import sys

from kinesis import Consumer, RedisCheckPointer, StringProcessor

# How long a lease outlives its worker.
SESSION_SECONDS = 5


async def main(endpoint, stream, worker, shards_max):
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    consumer = Consumer(
        stream,
        endpoint_url=endpoint,
        checkpointer=RedisCheckPointer("app", id=worker, session_timeout=SESSION_SECONDS, heartbeat_frequency=1),
        processor=StringProcessor(),
        max_shard_consumers=int(shards_max),
        use_list_shards=True,
        shard_fetch_rate=5,
        sleep_time_no_records=0.05,
        idle_timeout=0.2,
    )
    # It looks for new shards once a minute; there is no parameter for it.
    consumer._shard_refresh_interval = 0.2
    async with consumer:
        while not stopped.is_set():
            async for text in consumer:
                print(text, flush=True)
                if stopped.is_set():
                    break


asyncio.run(main(*sys.argv[1:]))
