use super::*;

impl Places {
    async fn at(&self, name: &str) -> Result<Place, Crowded> {
        let place = self.free().await.unwrap();
        place.belong_to(name).map(|()| place)
    }

    fn n_free(&self) -> (usize, usize) {
        (self.shared.running.available_permits(), self.shared.waiting.available_permits())
    }
}

/// What has become of these places after so long: whether each has to be left.
async fn after(time: Duration, places: &[&Place]) -> Vec<bool> {
    let looks = places.iter().map(|place| tokio::time::timeout(time, place.stalled()));
    futures_util::future::join_all(looks).await.iter().map(Result::is_ok).collect()
}

const BYTES: ProgressEvent<'_> = ProgressEvent::LayerBytes { layer: 0, n_bytes: LEAST_BYTES };

#[tokio::test(start_paused = true)]
async fn who_waits_gives_its_place_to_another_and_takes_one_again_when_it_moves() {
    let places = Places::new(2);
    let (first, second) = (places.at("a").await.unwrap(), places.at("b").await.unwrap());
    let both = [&first, &second];
    after(PATIENCE / 2, &both).await;
    assert_eq!(places.n_free(), (0, 8));
    first.event(BYTES);
    second.event(ProgressEvent::Analyzing);
    after(PATIENCE * 3 / 4, &both).await;
    assert_eq!(places.n_free(), (0, 8), "one has moved, the other is at work");
    assert_eq!(after(PATIENCE, &both).await, [false, false]);
    assert_eq!(places.n_free(), (1, 7));
    first.event(BYTES);
    after(LOOK_EVERY * 2, &both).await;
    assert_eq!(places.n_free(), (0, 8));
    drop((first, second));
    assert_eq!(places.n_free(), (2, 8));
    assert!(places.shared.registries().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_drips_counts_as_nothing_and_what_waits_for_the_thread_that_inflates_as_work() {
    let places = Places::new(2);
    let (drips, full) = (places.at("a").await.unwrap(), places.at("a").await.unwrap());
    full.event(ProgressEvent::LayerHeld { layer: 0 });
    for _ in 0..30 {
        drips.event(ProgressEvent::LayerBytes { layer: 0, n_bytes: 256 });
        after(PATIENCE / 20, &[&drips, &full]).await;
    }
    assert_eq!(places.n_free(), (1, 7));
    assert!(drips.state().is_waiting && !full.state().is_waiting);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_more_room_to_wait_the_place_is_to_be_left() {
    let places = Places::new(1);
    let mut waiting = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let place = places.at(name).await.unwrap();
        assert_eq!(after(PATIENCE * 2, &[&place]).await, [false]);
        waiting.push(place);
    }
    let fifth = places.at("e").await.unwrap();
    assert_eq!(after(PATIENCE * 2, &[&fifth]).await, [true]);
    waiting.pop();
    assert_eq!(after(PATIENCE * 2, &[&fifth]).await, [false]);
}

#[tokio::test(start_paused = true)]
async fn of_a_registry_that_is_waited_for_only_so_many_are_taken_up_and_the_rest_comes_in_turn() {
    let places = Places::new(2);
    let mut slow = Vec::new();
    for _ in 0..3 {
        let place = places.at("slow").await.unwrap();
        after(PATIENCE * 2, &[&place]).await;
        slow.push(place);
    }
    let last = places.at("slow").await.unwrap();
    assert_eq!(places.n_free(), (1, 5), "three wait, the last one was not looked at");
    let turn = async |name: &str| places.at(name).await.err().map(|crowded| crowded.turn);
    assert_eq!(turn("slow").await, Some(FIRST_TURN));
    assert_eq!(turn("slow").await, Some(FIRST_TURN + BETWEEN_TURNS));
    assert_eq!(turn("quick").await, None, "others are not concerned");
    for _ in 0..1000 {
        turn("slow").await;
    }
    assert_eq!(turn("slow").await, Some(LATEST_TURN));
    drop(last);
    assert_eq!(turn("slow").await, None, "there is room for one more");
    slow.clear();
    // Without a turn to come nothing is remembered of it.
    tokio::time::advance(LATEST_TURN + BETWEEN_TURNS).await;
    drop(places.at("quick").await.unwrap());
    assert!(places.shared.registries().is_empty());
}
