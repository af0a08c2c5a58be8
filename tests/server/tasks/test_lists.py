import asyncio
import time

from server.tasks.lists import SECONDS_AT_A_TIME, in_turns


def test_a_long_list_leaves_turns_to_others():
    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        def work():
            for number in range(5):
                time.sleep(1.1 * SECONDS_AT_A_TIME)
                yield number

        others = asyncio.create_task(other())
        assert await in_turns(work()) == [0, 1, 2, 3, 4]
        assert turns >= 5
        others.cancel()

    asyncio.run(main())
