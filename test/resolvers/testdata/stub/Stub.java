import java.net.InetAddress;
import java.net.UnknownHostException;

/** Looks up each FAMILY:NAME argument with InetAddress.getAllByName and prints what it got. */
class Stub {
	public static void main(String[] questions) {
		for (String question : questions) {
			StringBuilder answer = new StringBuilder(question);
			try {
				for (InetAddress address : InetAddress.getAllByName(question.split(":")[1])) {
					answer.append(' ').append(address.getHostAddress());
				}
			} catch (UnknownHostException e) {
				// It tells no lookup that failed from a name that is not there but by its text.
				answer.append(e.getMessage().contains("emporary") ? " failed: " + e.getMessage() : " unknown");
			}
			System.out.println(answer);
		}
	}
}
